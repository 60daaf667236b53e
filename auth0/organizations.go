package auth0

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"homeroom/identity"
	"homeroom/internal/remote"
	"homeroom/internal/wait"
)

// organization is what Homeroom reads of an organization. Metadata, which others may write, is read leniently.
type organization struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Metadata map[string]any `json:"metadata"`

	// fresh is true if it was just created, with its connection; joined if the user is known to be a member.
	fresh, joined bool
}

// keyTenant is the key of the tenant's id in an organization's metadata. An organization without it is unmanaged and
// never changed. keySignup is the key of the sign-up that created it.
const (
	keyTenant = "tenant_id"
	keySignup = "signup_id"
)

func (o organization) isOf(e identity.Membership) bool {
	return o.Metadata[keyTenant] == e.TenantID.String()
}

// ensureOrganization finds the school's organization, or creates it. It reads the user's organizations first, which
// finds one under any name, and fails for a deleted user. For a person who is not the owner the organization most
// likely exists, so it looks up all possible names before it creates one: a name may have become free since.
func (c *Client) ensureOrganization(ctx context.Context, e identity.Membership, ids *knownIDs) (organization, error) {
	joined, err := c.memberOrganizations(ctx, e)
	if err != nil {
		return organization{}, err
	}
	if len(joined) > 0 {
		return joined[0], nil
	}
	if e.Role != identity.RoleOwner {
		found, err := c.findByName(ctx, e, len(organizationNames(e)))
		if err != nil || found.ID != "" {
			return found, err
		}
	}
	for _, name := range organizationNames(e) {
		org, err := c.createOrFindOrganization(ctx, name, e, ids)
		if err != nil || org.isOf(e) {
			return org, err
		}
	}
	return organization{}, &identity.Misconfigured{
		Hint: "rename or remove those organizations with these names in the Auth0 dashboard that are not needed",
		Err:  fmt.Errorf("all names for the organization of %s are taken by other organizations", e.Slug),
	}
}

// createOrFindOrganization creates an organization with this name, or returns the existing one. A name is unique at
// Auth0, so of several concurrent creates for one school one succeeds and the others find it. After a lost answer it
// looks up the name before another create.
func (c *Client) createOrFindOrganization(ctx context.Context, name string, e identity.Membership, ids *knownIDs) (organization, error) {
	for attempt := 1; ; attempt++ {
		org, err := c.createOrganization(ctx, name, e, ids)
		if err == nil || !errors.Is(err, identity.ErrExists) && !identity.OutcomeUnknown(err) {
			return org, err
		}
		found, errLookup := c.organizationNamed(ctx, name)
		if errLookup == nil {
			return found, nil
		}
		// Neither created nor found: the request was lost, or the existing organization was removed in between.
		if !errors.Is(errLookup, errNoOrganization) || attempt == remote.Attempts ||
			wait.For(ctx, remote.Backoff(attempt)) != nil {
			if errors.Is(err, identity.ErrExists) {
				err = &identity.Unavailable{Err: errors.New("the organization's name is taken, and no organization has it")}
			}
			return organization{}, err
		}
	}
}

func (c *Client) createOrganization(
	ctx context.Context, name string, e identity.Membership, ids *knownIDs,
) (organization, error) {
	body := map[string]any{
		"name":         name,
		"display_name": displayName(e),
		"metadata":     map[string]string{keyTenant: e.TenantID.String(), keySignup: e.SignupID.String()},
		// A login with this connection alone makes nobody a member.
		"enabled_connections": []any{map[string]any{"connection_id": ids.connection, "assign_membership_on_login": false}},
	}
	var made organization
	err := c.exchange(ctx, call{
		Call:  remote.Call{Method: http.MethodPost, Route: routeOrganizations, Body: body, Creates: true},
		scope: scopeCreateOrganization + " " + scopeEnableConnection, missing: errStaleID,
	}, &made)
	if err != nil {
		return organization{}, fmt.Errorf("create organization: %w", c.invalidateStale(err))
	}
	if made.ID == "" || made.Name != name || !made.isOf(e) {
		return organization{}, fmt.Errorf("create organization: %w", &identity.Unavailable{Unknown: true, Err: remote.ErrUnreadable})
	}
	made.fresh = true
	return made, nil
}

// organizationNamed finds a new organization at once.
func (c *Client) organizationNamed(ctx context.Context, name string) (organization, error) {
	var found organization
	err := c.exchange(ctx, call{
		Call:  remote.Call{Method: http.MethodGet, Route: routeOrganizationName, ID: name},
		scope: scopeReadOrganization, missing: errNoOrganization,
	}, &found)
	if err == nil && (found.ID == "" || found.Name != name) {
		err = &identity.Unavailable{Err: remote.ErrUnreadable}
	}
	if err != nil {
		return organization{}, fmt.Errorf("look up organization %s: %w", name, err)
	}
	return found, nil
}

// organizationsOf returns the school's organizations with the user, or else the one found by name: there is one at
// most, unless somebody created another by hand. Names are used in order, so two free ones in a row end the search.
func (c *Client) organizationsOf(ctx context.Context, e identity.Membership) ([]organization, error) {
	orgs, err := c.memberOrganizations(ctx, e)
	if err != nil && !errors.Is(err, identity.ErrNotFound) || len(orgs) > 0 {
		return orgs, err
	}
	org, err := c.findByName(ctx, e, 2)
	if err != nil || org.ID == "" {
		return nil, err
	}
	return []organization{org}, nil
}

// memberOrganizations returns the school's organizations that have the user as a member. It fails with
// [identity.ErrNotFound] without the user.
func (c *Client) memberOrganizations(ctx context.Context, e identity.Membership) ([]organization, error) {
	orgs, err := c.userOrganizations(ctx, e.UserID)
	orgs = slices.DeleteFunc(orgs, func(org organization) bool { return !org.isOf(e) })
	for i := range orgs {
		orgs[i].joined = true
	}
	return orgs, err
}

// userOrganizations returns the organizations of a user: a hundred at most, which is far more than anybody has.
func (c *Client) userOrganizations(ctx context.Context, userID string) ([]organization, error) {
	var orgs []organization
	err := c.exchange(ctx, call{
		Call: remote.Call{
			Method: http.MethodGet, Route: routeUserOrganizations, ID: userID,
			Query: url.Values{"per_page": {strconv.Itoa(pageSize)}},
		},
		scope: scopeReadOrganization,
	}, &orgs)
	if err != nil {
		return nil, fmt.Errorf("list the user's organizations: %w", err)
	}
	return orgs, nil
}

// findByName finds the school's organization by its possible names. It stops after maxFree free names in a row.
func (c *Client) findByName(ctx context.Context, e identity.Membership, maxFree int) (organization, error) {
	free := 0
	for _, name := range organizationNames(e) {
		org, err := c.organizationNamed(ctx, name)
		switch {
		case err == nil && org.isOf(e):
			return org, nil
		case err == nil:
			free = 0
		case !errors.Is(err, errNoOrganization):
			return organization{}, err
		default:
			if free++; free == maxFree {
				return organization{}, nil
			}
		}
	}
	return organization{}, nil
}

// ensureConnection enables the connection for the organization. A new organization has it already.
func (c *Client) ensureConnection(ctx context.Context, org organization, ids *knownIDs) error {
	if org.fresh {
		return nil
	}
	var enabled struct {
		ID string `json:"connection_id"`
	}
	err := c.exchange(ctx, call{
		Call:  remote.Call{Method: http.MethodGet, Route: routeEnabledConnection, ID: org.ID, Other: ids.connection},
		scope: scopeReadConnections, missing: errNoOrganization, // or the connection is not enabled
	}, &enabled)
	if !errors.Is(err, errNoOrganization) {
		return err
	}
	body := map[string]any{"connection_id": ids.connection, "assign_membership_on_login": false}
	return c.invalidateStale(c.exchange(ctx, call{
		Call:  remote.Call{Method: http.MethodPost, Route: routeEnabledConnections, ID: org.ID, Body: body},
		scope: scopeEnableConnection, missing: errStaleID,
	}, &enabled))
}

// fewMembers is the largest number of members that are each checked.
const fewMembers = 5

// hasMembers reports whether an organization has members besides leaving. The list of members may be stale for some
// seconds. A removed member who is still listed is detected by that user's organizations, which are not stale. A new
// member who is not listed yet cannot be detected. That needs an assignment in the same school within these seconds;
// its own sign-up or invitation repeats it, and then creates the organization again.
func (c *Client) hasMembers(ctx context.Context, org organization, leaving string) (bool, error) {
	var members []struct {
		UserID string `json:"user_id"`
	}
	err := c.exchange(ctx, call{
		Call: remote.Call{
			Method: http.MethodGet, Route: routeMembers, ID: org.ID,
			Query: url.Values{"per_page": {strconv.Itoa(fewMembers + 2)}},
		},
		scope: scopeReadMembers, missing: errNoOrganization,
	}, &members)
	if errors.Is(err, errNoOrganization) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("list members: %w", err)
	}
	if len(members) > fewMembers+1 {
		return true, nil
	}
	for _, member := range members {
		if member.UserID == leaving {
			continue
		}
		orgs, err := c.userOrganizations(ctx, member.UserID)
		if err != nil && !errors.Is(err, identity.ErrNotFound) {
			return false, err
		}
		if slices.ContainsFunc(orgs, func(other organization) bool { return other.ID == org.ID }) {
			return true, nil
		}
	}
	return false, nil
}

func (c *Client) deleteOrganization(ctx context.Context, org organization) error {
	err := c.exchange(ctx, call{
		Call:  remote.Call{Method: http.MethodDelete, Route: routeOrganization, ID: org.ID},
		scope: scopeDeleteOrganization, missing: errNoOrganization,
	}, nil)
	if err != nil && !errors.Is(err, errNoOrganization) {
		return fmt.Errorf("delete organization: %w", err)
	}
	return nil
}

const (
	// https://auth0.com/docs/troubleshoot/customer-support/operational-policies/entity-limit-policy, and the lengths from
	// the description of POST /organizations.
	maxOrganizationName = 50
	maxDisplayName      = 255
)

var notInNames = regexp.MustCompile(`[^a-z0-9_-]+`)

// organizationNames returns the possible names of the school's organization, in order: the slug, the slug with a number
// from 2 to 9, and the slug with a part of the tenant's id.
func organizationNames(e identity.Membership) []string {
	slug := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(e.Slug), "-"), "-_")
	if slug == "" {
		slug = "school"
	}
	tenant := e.TenantID.String()
	with := func(suffix string) string {
		return strings.TrimRight(slug[:min(len(slug), maxOrganizationName-len(suffix))], "-_") + suffix
	}
	names := []string{with("")}
	for n := 2; n <= 9; n++ {
		names = append(names, with("-"+strconv.Itoa(n)))
	}
	return append(names, with("-"+tenant[len(tenant)-8:]))
}

func displayName(e identity.Membership) string {
	name := []rune(e.SchoolName)
	if len(name) == 0 {
		return e.Slug
	}
	return string(name[:min(len(name), maxDisplayName)])
}
