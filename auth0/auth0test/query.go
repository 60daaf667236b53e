package auth0test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clause reports whether a user matches one part of a query.
type clause func(User) bool

// parseQuery supports a part of the query language
// (https://auth0.com/docs/manage-users/user-search/user-search-query-syntax), and rejects the rest rather than find the
// wrong users. It supports parts joined by AND, each of which is field:value, field:"phrase", _exists_:field, or, for
// the times created_at, updated_at and last_login, a range such as [2026-11-20T10:00:00.000Z TO *}: a square bracket
// includes its end, a curly one excludes it.
func parseQuery(q string) (clause, *problem) {
	if rest := strings.TrimSpace(q); rest == "" || rest == "*" {
		return func(User) bool { return true }, nil
	}
	var all []clause
	for rest := strings.TrimSpace(q); ; {
		m := queryPart.FindStringSubmatch(rest)
		if m == nil {
			return nil, badSearch(rest)
		}
		one, ok := parseClause(m[1], m[2])
		if !ok {
			return nil, badSearch(m[0])
		}
		all = append(all, one)
		if rest = rest[len(m[0]):]; rest == "" {
			return func(u User) bool { return !slices.ContainsFunc(all, func(c clause) bool { return !c(u) }) }, nil
		}
		var joined bool
		if rest, joined = strings.CutPrefix(rest, " AND "); !joined {
			return nil, badSearch(rest)
		}
		rest = strings.TrimLeft(rest, " ")
	}
}

// queryPart is a field, a colon, and a phrase, a range, or a word without the language's special characters.
var queryPart = regexp.MustCompile(`^([A-Za-z_][\w.-]*):("(?:[^"\\]|\\.)*"|[\[{][^\[\]{}]*[\]}]|(?:[^\s"\\()\[\]{}:^~*?!/]|\\.)+)`)

var (
	queryRange  = regexp.MustCompile(`^([\[{])(\S+) TO (\S+)([\]}])$`)
	queryEscape = regexp.MustCompile(`\\(.)`)
)

func parseClause(field, text string) (clause, bool) {
	switch {
	case text[0] == '[' || text[0] == '{':
		return parseRange(field, text)
	case field == "_exists_":
		return func(u User) bool { return u.exists(text) }, isField(text)
	case !isField(field):
		return nil, false
	}
	if text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	text = queryEscape.ReplaceAllString(text, "$1")
	return func(u User) bool { return u.has(field, text) }, true
}

// parseRange supports only dates with a time: the meaning of a date without a time depends on the end of the range
// [DOC].
func parseRange(field, text string) (clause, bool) {
	m := queryRange.FindStringSubmatch(text)
	if _, ok := (User{}).timeFields()[field]; !ok || m == nil {
		return nil, false
	}
	from, okFrom := parseBound(m[2])
	to, okTo := parseBound(m[3])
	return func(u User) bool {
		at := u.timeFields()[field]
		// A missing time is in no range, not even in [* TO *].
		return !at.IsZero() &&
			(from.IsZero() || at.After(from) || m[1] == "[" && at.Equal(from)) &&
			(to.IsZero() || at.Before(to) || m[4] == "]" && at.Equal(to))
	}, okFrom && okTo
}

// parseBound returns the zero time for an open end.
func parseBound(text string) (time.Time, bool) {
	if text == "*" {
		return time.Time{}, true
	}
	at, err := time.Parse(time.RFC3339, text)
	return at, err == nil
}

func badSearch(part string) *problem {
	return badQuery(fmt.Sprintf("The simulator's search does not support: %s", part))
}

func (u User) timeFields() map[string]time.Time {
	return map[string]time.Time{
		"created_at": u.CreatedAt.Time, "updated_at": u.UpdatedAt.Time, "last_login": u.LastLogin.Time,
	}
}

func (u User) texts() map[string]string {
	texts := map[string]string{
		"user_id": u.ID, "email": u.Email, "username": u.Username, "name": u.Name, "nickname": u.Nickname,
		"given_name": u.GivenName, "family_name": u.FamilyName, "email_verified": strconv.FormatBool(u.EmailVerified),
		"identities.connection": "",
	}
	if len(u.Identities) > 0 {
		texts["identities.connection"] = u.Identities[0].Connection
	}
	return texts
}

// metadata returns the value that a field names, and whether it names one of metadata. Only its first level is
// supported.
func (u User) metadata(field string) (any, bool) {
	if key, ok := strings.CutPrefix(field, "app_metadata."); ok {
		return u.AppMetadata[key], true
	}
	if key, ok := strings.CutPrefix(field, "user_metadata."); ok {
		return u.UserMetadata[key], true
	}
	return nil, false
}

func isField(name string) bool {
	_, isText := (User{}).texts()[name]
	_, isTime := (User{}).timeFields()[name]
	_, isMetadata := (User{}).metadata(name)
	return isText || isTime || isMetadata
}

// has compares a text, case-sensitively except in the profile's normalised fields [DOC].
func (u User) has(field, value string) bool {
	if have, ok := u.metadata(field); ok {
		text, isText := have.(string)
		return isText && text == value
	}
	have, ok := u.texts()[field]
	switch field {
	case "email", "name", "nickname", "given_name", "family_name":
		return strings.EqualFold(have, value)
	}
	return ok && have == value
}

// exists reports whether there is a value. In metadata null, [] and {} do not count [DOC].
func (u User) exists(field string) bool {
	if have, ok := u.metadata(field); ok {
		switch have := have.(type) {
		case nil:
			return false
		case []any:
			return len(have) > 0
		case map[string]any:
			return len(have) > 0
		}
		return true
	}
	return u.texts()[field] != "" || !u.timeFields()[field].IsZero()
}
