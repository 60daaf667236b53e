package auth0

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"homeroom/identity"
	"homeroom/internal/remote"
)

// Limits of a search: https://auth0.com/docs/manage-users/user-search/list-and-search-users.
const (
	pageSize = 100
	maxPages = 10
	// listFields are the fields that remoteUser reads, because a whole profile may be large.
	listFields = "user_id,email,email_verified,blocked,created_at,app_metadata"
	// created_at has milliseconds.
	searchTime = "2006-01-02T15:04:05.000Z"
)

// errTooManyAtOnce fails a list that would be incomplete.
var errTooManyAtOnce = fmt.Errorf("the tenant has %d users or more that were created in the same millisecond, and its search returns no more",
	pageSize*maxPages)

// List calls each for every user of the connection that has a sign-up's id, the oldest first. It sends one call for
// each hundred users, one after the other, and uses no more than half of the tenant's rate limit. It waits after a 429,
// up to Config.MaxWait. It implements [identity.Lister].
//
// One search returns a thousand users, and when a user is removed between two pages, all later ones move up, before the
// page that is read next. So List reads first pages only: each search begins at the time of creation where the previous
// one ended, which no removal changes. Users of that same millisecond are returned twice, and recognised by their ids.
func (c *Client) List(ctx context.Context, each func(identity.User) error) error {
	for at := (position{}); ; {
		users, err := c.search(ctx, at)
		if err != nil {
			return fmt.Errorf("list users: %w", err)
		}
		for _, u := range users {
			if u.Metadata.SignupID == "" || at.seen[u.ID] {
				continue
			}
			if err := each(u); err != nil {
				return err
			}
		}
		if len(users) < pageSize {
			return nil
		}
		if at, err = at.after(users); err != nil {
			return fmt.Errorf("list users: %w", err)
		}
		if err := c.limits.read.yield(ctx); err != nil {
			return fmt.Errorf("list users: %w", err)
		}
	}
}

// position is the progress of a list: the users created before from are done.
type position struct {
	from time.Time
	// page is the page of the search from there. It is 0, unless more than a page of users were created at from: only
	// then further pages are read, and a removal may hide a user.
	page int
	// seen are the ids of users created at from that were on earlier pages, a thousand at most.
	seen map[string]bool
}

// after is the position after a full page.
func (p position) after(users []identity.User) (position, error) {
	if last := millisecond(users[len(users)-1]); last.After(p.from) {
		p = position{from: last, seen: map[string]bool{}}
	} else if p.page++; p.page == maxPages {
		return p, errTooManyAtOnce
	}
	for _, u := range users {
		if millisecond(u).Equal(p.from) {
			p.seen[u.ID] = true
		}
	}
	return p, nil
}

func millisecond(u identity.User) time.Time { return u.CreatedAt.Truncate(time.Millisecond) }

// search reads one page. A page that is not full is the last one.
func (c *Client) search(ctx context.Context, at position) ([]identity.User, error) {
	q := "_exists_:app_metadata.signup_id AND identities.connection:" + quotePhrase(c.cfg.connection())
	if !at.from.IsZero() {
		q += " AND created_at:[" + at.from.UTC().Format(searchTime) + " TO *]"
	}
	req := call{
		Call: remote.Call{
			Method: http.MethodGet, Route: routeUsers,
			Query: url.Values{
				"search_engine": {"v3"}, "q": {q}, "sort": {"created_at:1"}, "fields": {listFields}, "include_fields": {"true"},
				"page": {strconv.Itoa(at.page)}, "per_page": {strconv.Itoa(pageSize)}, "include_totals": {"true"},
			},
		},
		scope: scopeRead,
	}
	ans, err := c.remote.Do(ctx, req.Call)
	// One 429 must not fail a list of many pages. The limiter waits before the call is sent again.
	for try := 1; try < remote.Attempts && err == nil && ans.Status == http.StatusTooManyRequests; try++ {
		ans, err = c.remote.Do(ctx, req.Call)
	}
	if err != nil {
		return nil, err
	}
	if ans.Status != http.StatusOK {
		return nil, c.failure(req, ans)
	}
	users, err := c.decodePage(ans, at)
	if err != nil {
		return nil, &identity.Unavailable{Err: err}
	}
	return users, nil
}

// quotePhrase quotes a text for the query language.
func quotePhrase(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// decodePage decodes a page and checks that it is the requested one, complete and in order: the end of a list, and the
// next position, depend on it alone.
func (c *Client) decodePage(ans remote.Answer, at position) ([]identity.User, error) {
	var page struct {
		Start  int          `json:"start"`
		Limit  int          `json:"limit"`
		Length int          `json:"length"`
		Users  []remoteUser `json:"users"`
	}
	if err := ans.Decode(&page); err != nil || page.Users == nil ||
		page.Start != at.page*pageSize || page.Limit != pageSize || page.Length != len(page.Users) {
		return nil, remote.ErrUnreadable
	}
	users := make([]identity.User, len(page.Users))
	earliest := at.from
	for i, u := range page.Users {
		users[i] = u.user(c.cfg.idPrefix())
		made := millisecond(users[i])
		if u.UserID == "" || made.IsZero() || made.Before(earliest) {
			return nil, remote.ErrUnreadable
		}
		earliest = made
	}
	return users, nil
}
