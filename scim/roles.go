package scim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"homeroom/identity"
	"homeroom/internal/remote"
)

// ManagesMemberships implements [identity.MembershipManager].
func (c *Client) ManagesMemberships() bool { return c.cfg.AdminRole != "" || c.cfg.MemberRole != "" }

// Assign gives an account its role. Concurrent calls for the same account run once, since they would not see each
// other's result. It implements [identity.MembershipManager].
func (c *Client) Assign(ctx context.Context, e identity.Membership) (identity.Assignment, error) {
	name := c.role(e.Role)
	if name == "" {
		return identity.Assignment{}, nil
	}
	_, err, _ := c.assignments.Do(name+" "+e.UserID, func() (any, error) {
		err := c.addMember(ctx, e.UserID, name)
		switch {
		case errors.Is(err, errRoleGone): // perhaps an operator created it again
			c.invalidate()
			err = c.addMember(ctx, e.UserID, name)
		case identity.OutcomeUnknown(err):
			err = c.addMember(ctx, e.UserID, name) // a retry looks it up first
		}
		return nil, err
	})
	if err != nil {
		return identity.Assignment{}, fmt.Errorf("assign the role %s: %w", name, err)
	}
	return identity.Assignment{}, nil
}

// Unassign removes the role. It implements [identity.MembershipManager].
func (c *Client) Unassign(ctx context.Context, e identity.Membership) error {
	name := c.role(e.Role)
	if name == "" {
		return nil
	}
	err := c.removeMember(ctx, e.UserID, name)
	if errors.Is(err, errRoleGone) {
		c.invalidate()
		err = c.removeMember(ctx, e.UserID, name)
	}
	if err == nil || errors.Is(err, identity.ErrNotFound) || errors.Is(err, errMissing) || errors.Is(err, errRoleGone) {
		return nil // the account, or the role, does not exist
	}
	return fmt.Errorf("unassign the role %s: %w", name, err)
}

// role is the display name of one of our roles at the server; empty for none.
func (c *Client) role(role string) string {
	switch role {
	case identity.RoleOwner, identity.RoleAdmin:
		return c.cfg.AdminRole
	default:
		return c.cfg.MemberRole
	}
}

// errRoleGone means that a role with a cached id does not exist any more.
var errRoleGone = errors.New("the role is gone")

func (c *Client) addMember(ctx context.Context, userID, name string) error {
	role, user, err := c.roleAndUser(ctx, name, userID)
	if err != nil || c.hasRole(user, role) {
		return err
	}
	return c.patch(ctx, role, operation{Op: "add", Path: c.membersAttribute, Value: []entry{{Value: userID}}})
}

// removeMember removes a user from a role. The server's usual syntax of the path is tried first, the other one if that
// is refused.
func (c *Client) removeMember(ctx context.Context, userID, name string) error {
	role, user, err := c.roleAndUser(ctx, name, userID)
	if err != nil || len(c.entries(user)) > 0 && !c.hasRole(user, role) {
		return err
	}
	quotedFirst := c.membersAttribute == "members"
	err = c.patch(ctx, role, operation{Op: "remove", Path: member(c.membersAttribute, userID, quotedFirst)})
	if errors.Is(err, errRefused) {
		err = c.patch(ctx, role, operation{Op: "remove", Path: member(c.membersAttribute, userID, !quotedFirst)})
	}
	return err
}

// roleAndUser returns the id of the role with a name, and the current user.
func (c *Client) roleAndUser(ctx context.Context, name, userID string) (role string, user remoteUser, err error) {
	roles, err := c.prepared(ctx)
	if err == nil {
		user, err = c.read(ctx, userID)
	}
	return roles[name], user, err
}

// entries returns the user's roles, if the server sends them.
func (c *Client) entries(user remoteUser) []entry {
	if c.rolesAttribute == "groups" {
		return user.Groups
	}
	return user.Roles
}

func (c *Client) hasRole(user remoteUser, roleID string) bool {
	return slices.ContainsFunc(c.entries(user), func(e entry) bool { return e.Value == roleID })
}

// operation is one change of RFC 7644, section 3.5.2.
type operation struct {
	Op    string  `json:"op"`
	Path  string  `json:"path"`
	Value []entry `json:"value,omitempty"`
}

// patch changes a role. Removing a user who is not a member has no effect. Adding a member should have none either (RFC
// 7644, section 3.5.2.1), but some servers then list the member twice: so an add is sent once.
func (c *Client) patch(ctx context.Context, roleID string, op operation) error {
	req := remote.Call{
		Method: http.MethodPatch, Route: c.cfg.RolesPath + resource, ID: roleID, Type: mediaType, Creates: op.Op == "add",
		Body: struct {
			Schemas    []string    `json:"schemas"`
			Operations []operation `json:"Operations"`
		}{[]string{schemaPatch}, []operation{op}},
	}
	ans, err := c.remote.Do(ctx, req)
	if err != nil {
		return err
	}
	p := readProblem(ans)
	switch {
	case ans.Status == http.StatusOK, ans.Status == http.StatusNoContent:
		return nil
	case op.Op == "remove" && ans.Status == http.StatusBadRequest && p.kind == typeNoTarget:
		return nil // there is no member to remove
	case ans.Status == http.StatusBadRequest:
		return &identity.Misconfigured{
			Hint: c.cfg.Settings.Sprintf("the SCIM server does not accept this change of a role: check $RolesPath"),
			Err:  fmt.Errorf("%w: %w", errRefused, c.remote.Quote(req, ans, p.kind, p.detail)),
		}
	case ans.Status == http.StatusConflict: // a concurrent change of the role, which may have done the same
		return &identity.Unavailable{Unknown: true, Err: c.remote.Quote(req, ans, p.kind, p.detail)}
	}
	err = c.failure(req, ans, scopeRoleUpdate)
	if errors.Is(err, identity.ErrNotFound) {
		return &identity.Unavailable{Err: errRoleGone}
	}
	return err
}
