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

// What a search shows, whatever is asked: https://auth0.com/docs/manage-users/user-search/list-and-search-users.
const (
	pageSize = 100
	maxPages = 10
	// listFields is what remoteUser reads: a profile may be large otherwise.
	listFields = "user_id,email,email_verified,blocked,created_at,app_metadata"
	// created_at counts milliseconds.
	searchTime = "2006-01-02T15:04:05.000Z"
)

// errTooManyAtOnce ends a list rather than leave somebody out.
var errTooManyAtOnce = fmt.Errorf("the tenant has %d users or more that were made in the same millisecond, and its search shows no more",
	pageSize*maxPages)

// List calls each for every user of the connection that carries a sign-up's id, the oldest first. It takes one call for
// each hundred users, one after the other, and no more than half of the tenant's rate limit. A 429 on the way is waited
// for, up to Config.MaxWait. It implements [identity.Lister].
//
// One search shows a thousand users, and a user who is removed while its pages are turned moves all later ones up, past
// the page that is read next. So the pages are not turned: each search begins at the time of creation where the one
// before it ended, which no removal moves. Those made in that very millisecond come twice, and are known by their ids.
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

// position is how far a list has come: the users made before from are done.
type position struct {
	from time.Time
	// page is of the search from there. It is 0, unless more than a page's users were made at from: only there are pages
	// turned, and may a removal hide somebody.
	page int
	// seen are the ids of those made at from that were on former pages, a search's thousand at most.
	seen map[string]bool
}

// after is the position after a full page, which is in order.
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

// search reads one page. Fewer users than fit on it are the last ones.
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
	// A list of many pages would hardly ever end if one 429 ended it. The limiter waits before the call is sent again.
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

// decodePage reads a page and checks that it is the one that was asked for, whole and in order: the end of a list, and
// where to go on, are told by nothing else.
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
