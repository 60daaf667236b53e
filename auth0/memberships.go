package auth0

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"homeroom/identity"
	"homeroom/internal/remote"
)

// ManagesMemberships reports whether roles or organizations are configured. It implements [identity.MembershipManager].
func (c *Client) ManagesMemberships() bool { return c.cfg.Organizations || len(c.cfg.roles()) > 0 }

// Prepare finds the ids of the roles and of the connection, and caches them. It implements [identity.MembershipManager].
func (c *Client) Prepare(ctx context.Context) error {
	if _, err := c.prepared(ctx); err != nil {
		return fmt.Errorf("prepare memberships: %w", err)
	}
	return nil
}

// Assign ensures the organization, its connection, the membership and the role, in that order. Each step reads first or
// has no effect the second time, so another call completes an interrupted assignment. It implements
// [identity.MembershipManager].
func (c *Client) Assign(ctx context.Context, e identity.Membership) (identity.Assignment, error) {
	ids, err := c.prepared(ctx)
	if err != nil {
		return identity.Assignment{}, fmt.Errorf("assign membership: %w", err)
	}
	if !c.cfg.Organizations {
		if err := c.addRole(ctx, e, ids); err != nil {
			return identity.Assignment{}, fmt.Errorf("assign membership: %w", err)
		}
		return identity.Assignment{}, nil
	}
	org, err := c.ensureOrganization(ctx, e, ids)
	if err == nil {
		err = c.ensureConnection(ctx, org, ids)
	}
	if err == nil {
		err = c.ensureMember(ctx, org, e)
	}
	if err == nil {
		err = c.ensureMemberRole(ctx, org, e, ids)
	}
	if err != nil {
		return identity.Assignment{}, fmt.Errorf("assign membership: %w", err)
	}
	return identity.Assignment{OrganizationID: org.ID}, nil
}

// Unassign removes the role and the membership, and the organization if it has no other members. It implements
// [identity.MembershipManager].
func (c *Client) Unassign(ctx context.Context, e identity.Membership) error {
	ids, err := c.prepared(ctx)
	if err != nil {
		return fmt.Errorf("unassign membership: %w", err)
	}
	if !c.cfg.Organizations {
		if err := c.removeRole(ctx, e, ids); err != nil {
			return fmt.Errorf("unassign membership: %w", err)
		}
		return nil
	}
	orgs, err := c.organizationsOf(ctx, e)
	if err != nil {
		return fmt.Errorf("unassign membership: %w", err)
	}
	for _, org := range orgs {
		if err := c.removeFromOrganization(ctx, org, e, ids); err != nil {
			return fmt.Errorf("unassign membership: %w", err)
		}
	}
	return nil
}

// removeFromOrganization ends one membership. The role is removed first: Auth0 stores roles of members apart from membership.
func (c *Client) removeFromOrganization(ctx context.Context, org organization, e identity.Membership, ids *knownIDs) error {
	if err := c.removeMemberRole(ctx, org, e, ids); err != nil {
		return err
	}
	if err := c.removeMember(ctx, org, e.UserID); err != nil {
		return err
	}
	if left, err := c.hasMembers(ctx, org, e.UserID); err != nil || left {
		return err
	}
	return c.deleteOrganization(ctx, org)
}

// addRole adds the role for the whole tenant. It has no effect if the user has the role.
func (c *Client) addRole(ctx context.Context, e identity.Membership, ids *knownIDs) error {
	role, ok := ids.roles[e.Role]
	if !ok {
		return nil
	}
	return c.invalidateStale(c.exchange(ctx, call{
		Call:  remote.Call{Method: http.MethodPost, Route: routeUserRoles, ID: e.UserID, Body: idList("roles", role)},
		scope: scopeUpdate + " " + scopeAddRole, missing: errStaleID,
	}, nil))
}

func (c *Client) removeRole(ctx context.Context, e identity.Membership, ids *knownIDs) error {
	role, ok := ids.roles[e.Role]
	if !ok {
		return nil
	}
	err := c.exchange(ctx, call{
		Call:  remote.Call{Method: http.MethodDelete, Route: routeUserRoles, ID: e.UserID, Body: idList("roles", role)},
		scope: scopeUpdate + " " + scopeRemoveRole, missing: identity.ErrNotFound,
	}, nil)
	return ignoreNotFound(err)
}

func (c *Client) ensureMember(ctx context.Context, org organization, e identity.Membership) error {
	if org.joined {
		return nil
	}
	err := c.exchange(ctx, call{
		Call:  remote.Call{Method: http.MethodPost, Route: routeMembers, ID: org.ID, Body: idList("members", e.UserID)},
		scope: scopeAddMember, missing: errStaleID,
	}, nil)
	var misconfigured *identity.Misconfigured
	if errors.As(err, &misconfigured) {
		// Auth0 does not document how it refuses a deleted user, or an existing member: so look it up.
		switch joined, errLookup := c.memberOrganizations(ctx, e); {
		case errors.Is(errLookup, identity.ErrNotFound):
			return identity.ErrNotFound
		case slices.ContainsFunc(joined, func(other organization) bool { return other.ID == org.ID }):
			return nil
		}
	}
	return c.invalidateStale(err)
}

func (c *Client) removeMember(ctx context.Context, org organization, userID string) error {
	return ignoreNotFound(c.exchange(ctx, call{
		Call:  remote.Call{Method: http.MethodDelete, Route: routeMembers, ID: org.ID, Body: idList("members", userID)},
		scope: scopeRemoveMember, missing: identity.ErrNotFound,
	}, nil))
}

func (c *Client) ensureMemberRole(ctx context.Context, org organization, e identity.Membership, ids *knownIDs) error {
	role, ok := ids.roles[e.Role]
	if !ok {
		return nil
	}
	return c.invalidateStale(c.exchange(ctx, call{
		Call: remote.Call{
			Method: http.MethodPost, Route: routeMemberRoles, ID: org.ID, Other: e.UserID,
			Body: idList("roles", role),
		},
		scope: scopeAddMemberRole, missing: errStaleID,
	}, nil))
}

func (c *Client) removeMemberRole(ctx context.Context, org organization, e identity.Membership, ids *knownIDs) error {
	role, ok := ids.roles[e.Role]
	if !ok {
		return nil
	}
	return ignoreNotFound(c.exchange(ctx, call{
		Call: remote.Call{
			Method: http.MethodDelete, Route: routeMemberRoles, ID: org.ID, Other: e.UserID,
			Body: idList("roles", role),
		},
		scope: scopeRemoveMemberRole, missing: identity.ErrNotFound,
	}, nil))
}

// errStaleID is a 404 for something that was just found: a role, or the organization. The next attempt looks it up
// again.
var errStaleID error = &identity.Unavailable{Err: errors.New("the role or the organization was removed during the call")}

// invalidateStale invalidates the cached ids when one of them may be stale.
func (c *Client) invalidateStale(err error) error {
	if errors.Is(err, errStaleID) {
		c.idCache.invalidate()
	}
	return err
}

// ignoreNotFound turns a missing resource into a success.
func ignoreNotFound(err error) error {
	if errors.Is(err, identity.ErrNotFound) {
		return nil
	}
	return err
}

// idList is the body with one id to add or to remove.
func idList(name, id string) map[string][]string { return map[string][]string{name: {id}} }
