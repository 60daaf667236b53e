package scim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"homeroom/identity"
	"homeroom/internal/remote"
)

// errMissing means that an application or a role does not exist, or has another name.
var errMissing = errors.New("does not exist")

// Prepare looks up the application and the roles, once. It implements [identity.MembershipManager].
func (c *Client) Prepare(ctx context.Context) error {
	if _, err := c.prepared(ctx); err != nil {
		return fmt.Errorf("look up roles: %w", err)
	}
	return nil
}

// prepared returns the ids of the roles, by display name.
func (c *Client) prepared(ctx context.Context) (map[string]string, error) {
	c.mu.Lock()
	roles := c.roles
	c.mu.Unlock()
	if roles != nil || !c.ManagesMemberships() {
		return roles, nil
	}
	application, err := c.application(ctx)
	if err != nil {
		return nil, err
	}
	roles = map[string]string{}
	for _, wanted := range []struct{ name, setting string }{
		{c.cfg.AdminRole, c.cfg.Settings.Of("AdminRole")}, {c.cfg.MemberRole, c.cfg.Settings.Of("MemberRole")},
	} {
		if wanted.name == "" || roles[wanted.name] != "" {
			continue
		}
		if roles[wanted.name], err = c.roleID(ctx, wanted.name, application, wanted.setting); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.roles = roles
	return roles, nil
}

func (c *Client) invalidate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.roles = nil
}

// application returns the id of the application to which the roles belong; empty if none is configured.
func (c *Client) application(ctx context.Context) (string, error) {
	if c.cfg.Application == "" {
		return "", nil
	}
	var page struct {
		Applications []struct {
			ID   text
			Name string
		} `json:"applications"`
	}
	err := c.find(ctx, applicationsPath, equal("name", c.cfg.Application), scopeApplications, &page)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, a := range page.Applications {
		if a.Name == c.cfg.Application {
			ids = append(ids, string(a.ID))
		}
	}
	return c.exactlyOne(ids, "application", c.cfg.Application, c.cfg.Settings.Of("Application"))
}

// roleID finds a role by its name. Names are unique within an application only.
func (c *Client) roleID(ctx context.Context, name, application, setting string) (string, error) {
	var page struct {
		Resources []struct {
			ID          text   `json:"id"`
			DisplayName string `json:"displayName"`
			Audience    struct {
				Value text `json:"value"`
			} `json:"audience"`
		} `json:"Resources"`
	}
	filter := equal("displayName", name)
	if application != "" {
		filter += " and " + equal("audience.value", application)
	}
	if err := c.find(ctx, c.cfg.RolesPath, filter, scopeRoles, &page); err != nil {
		return "", err
	}
	var ids []string
	for _, r := range page.Resources {
		theirs := application != "" && r.Audience.Value != "" && string(r.Audience.Value) != application
		if r.DisplayName == name && !theirs {
			ids = append(ids, string(r.ID))
		}
	}
	return c.exactlyOne(ids, "role", name, setting)
}

// find searches for roles or applications by a filter. The answer for an empty result may be a 404.
func (c *Client) find(ctx context.Context, path, filter, scope string, page any) error {
	req := remote.Call{Method: http.MethodGet, Route: path, Type: mediaType, Query: url.Values{"filter": {filter}}}
	ans, err := c.remote.Do(ctx, req)
	if err != nil {
		return err
	}
	if ans.Status != http.StatusOK {
		if err := c.failure(req, ans, scope); !errors.Is(err, identity.ErrNotFound) {
			return err
		}
		return nil
	}
	var total struct {
		Results *int `json:"totalResults"`
	}
	if ans.Decode(&total) != nil || total.Results == nil || ans.Decode(page) != nil {
		return &identity.Unavailable{Err: remote.ErrUnreadable}
	}
	return nil
}

// exactlyOne returns the only id, and fails if there are none or several.
func (c *Client) exactlyOne(ids []string, what, name, setting string) (string, error) {
	switch len(ids) {
	case 1:
		return ids[0], nil
	case 0:
		return "", &identity.Misconfigured{
			Hint: fmt.Sprintf("create the %s %q at the SCIM server, or configure another one (%s)", what, name, setting),
			Err:  fmt.Errorf("the %s %q is %w", what, name, errMissing),
		}
	default:
		return "", &identity.Misconfigured{
			Hint: c.cfg.Settings.Sprintf("rename all but one of them, or set the application ($Application); the name is in %s", setting),
			Err:  fmt.Errorf("%d have the name %q", len(ids), name),
		}
	}
}
