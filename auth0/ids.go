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

// knownIDs are Auth0's ids of roles and connections that an operator created.
type knownIDs struct {
	// roles are ids by the roles of package identity, without those that are not configured.
	roles map[string]string
	// connection is the id of the connection of new users. It is empty without organizations, since only they need it.
	connection string
}

// idCache caches the ids, so that they are looked up once.
type idCache struct {
	// lock protects ids. It is a channel, since a lookup takes time and a caller may cancel.
	lock chan struct{}
	ids  *knownIDs
}

func newIDCache() *idCache { return &idCache{lock: make(chan struct{}, 1)} }

func (p *idCache) invalidate() {
	p.lock <- struct{}{}
	p.ids = nil
	<-p.lock
}

// prepared returns the ids. It looks them up once, also for concurrent callers.
func (c *Client) prepared(ctx context.Context) (*knownIDs, error) {
	select {
	case c.idCache.lock <- struct{}{}:
		defer func() { <-c.idCache.lock }()
	case <-ctx.Done():
		return nil, &identity.Unavailable{Err: fmt.Errorf("wait for the ids of roles: %w", ctx.Err())}
	}
	if c.idCache.ids != nil {
		return c.idCache.ids, nil
	}
	ids := &knownIDs{roles: map[string]string{}}
	for role, name := range c.cfg.roles() {
		id, err := c.roleID(ctx, name, c.cfg.Settings.Of(roleFields[role]))
		if err != nil {
			return nil, err
		}
		ids.roles[role] = id
	}
	if c.cfg.Organizations {
		id, err := c.connectionID(ctx, c.cfg.connection())
		if err != nil {
			return nil, err
		}
		ids.connection = id
	}
	c.idCache.ids = ids
	return ids, nil
}

// entity is a role or a connection in a list.
type entity struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// roleID finds a role by its exact name: Auth0's filter finds parts of names, case-insensitively.
func (c *Client) roleID(ctx context.Context, name, setting string) (string, error) {
	for page := 0; ; page++ {
		var roles []entity
		err := c.exchange(ctx, call{
			Call: remote.Call{
				Method: http.MethodGet, Route: routeRoles,
				Query: url.Values{"name_filter": {name}, "per_page": {strconv.Itoa(pageSize)}, "page": {strconv.Itoa(page)}},
			},
			scope: scopeReadRoles,
		}, &roles)
		if err != nil {
			return "", fmt.Errorf("find role %q: %w", name, err)
		}
		if id := idOf(roles, name); id != "" {
			return id, nil
		}
		if len(roles) < pageSize {
			return "", &identity.Misconfigured{
				Hint: fmt.Sprintf("create the role %q in the Auth0 dashboard (User Management, Roles), or correct %s", name, setting),
				Err:  fmt.Errorf("the Auth0 tenant has no role %q", name),
			}
		}
	}
}

func (c *Client) connectionID(ctx context.Context, name string) (string, error) {
	var connections []entity
	err := c.exchange(ctx, call{
		Call: remote.Call{
			Method: http.MethodGet, Route: routeConnections,
			Query: url.Values{"name": {name}, "fields": {"id,name"}, "include_fields": {"true"}},
		},
		scope: scopeConnection,
	}, &connections)
	if err != nil {
		return "", fmt.Errorf("find connection %q: %w", name, err)
	}
	if id := idOf(connections, name); id != "" {
		return id, nil
	}
	return "", &identity.Misconfigured{
		Hint: c.cfg.Settings.Sprintf("see Authentication in the Auth0 dashboard, and $Connection or $Login"),
		Err:  fmt.Errorf("the Auth0 tenant has no connection %q", name),
	}
}

func idOf(found []entity, name string) string {
	for _, one := range found {
		if one.Name == name {
			return one.ID
		}
	}
	return ""
}

// errNoOrganization means that there is no organization with an id or a name.
var errNoOrganization = errors.New("no such organization")
