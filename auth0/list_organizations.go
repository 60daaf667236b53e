package auth0

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"homeroom/identity"
	"homeroom/internal/remote"
)

// ManagesOrganizations reports whether each school gets an organization. It implements [identity.OrganizationLister].
func (c *Client) ManagesOrganizations() bool { return c.cfg.Organizations }

// ListOrganizations reads all organizations, a hundred with each call, and calls each for ours. Like List it uses no
// more than half of the rate limit. It implements [identity.OrganizationLister].
func (c *Client) ListOrganizations(ctx context.Context, each func(identity.Organization) error) error {
	if !c.cfg.Organizations {
		return nil
	}
	for from := ""; ; {
		orgs, next, err := c.organizationPage(ctx, from)
		if err != nil {
			return fmt.Errorf("list organizations: %w", err)
		}
		for _, org := range orgs {
			managed := org.managed()
			if managed.TenantID == "" {
				continue
			}
			if err := each(managed); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		from = next
		if err := c.limits.organizationRead.yield(ctx); err != nil {
			return fmt.Errorf("list organizations: %w", err)
		}
	}
}

// organizationPage reads the page after a cursor, and returns the next cursor, which is empty at the end. It waits after a 429.
func (c *Client) organizationPage(ctx context.Context, from string) ([]organization, string, error) {
	query := url.Values{"take": {strconv.Itoa(pageSize)}}
	if from != "" {
		query.Set("from", from)
	}
	var page struct {
		Organizations []organization `json:"organizations"`
		Next          string         `json:"next"`
	}
	for try := 1; ; try++ {
		err := c.exchange(ctx, call{
			Call:  remote.Call{Method: http.MethodGet, Route: routeOrganizations, Query: query},
			scope: scopeReadOrganization,
		}, &page)
		var throttled *identity.Unavailable
		if err == nil && (page.Organizations == nil || page.Next == from && from != "") {
			err = &identity.Unavailable{Err: remote.ErrUnreadable}
		}
		if try == remote.Attempts || !errors.As(err, &throttled) || !throttled.Throttled {
			return page.Organizations, page.Next, err
		}
	}
}

// managed returns the metadata that Assign wrote on an organization.
func (o organization) managed() identity.Organization {
	text := func(key string) string { s, _ := o.Metadata[key].(string); return s }
	return identity.Organization{ID: o.ID, Name: o.Name, TenantID: text(keyTenant), SignupID: text(keySignup)}
}

// OrganizationEmpty implements [identity.OrganizationLister].
func (c *Client) OrganizationEmpty(ctx context.Context, id string) (bool, error) {
	occupied, err := c.hasMembers(ctx, organization{ID: id}, "")
	if err != nil {
		return false, fmt.Errorf("list members: %w", err)
	}
	return !occupied, nil
}

// RemoveEmptyOrganization first reads the organization and its members again. It implements
// [identity.OrganizationLister].
func (c *Client) RemoveEmptyOrganization(ctx context.Context, listed identity.Organization) (bool, error) {
	var org organization
	err := c.exchange(ctx, call{
		Call:  remote.Call{Method: http.MethodGet, Route: routeOrganization, ID: listed.ID},
		scope: scopeReadOrganization, missing: errNoOrganization,
	}, &org)
	if errors.Is(err, errNoOrganization) {
		return true, nil
	}
	if err == nil && (org.ID != listed.ID || org.managed().TenantID != listed.TenantID) {
		return false, nil
	}
	empty := false
	if err == nil {
		empty, err = c.OrganizationEmpty(ctx, listed.ID)
	}
	if err == nil && empty {
		err = c.deleteOrganization(ctx, org)
	}
	if err != nil {
		return false, fmt.Errorf("remove organization: %w", err)
	}
	return empty, nil
}
