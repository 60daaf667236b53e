package scimtest

import (
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// term is one comparison of a filter.
type term struct{ attribute, value string }

// comparison is the beginning of a filter: an attribute, and a value with or without quotes. Asgardeo's documents have
// both; a value in quotes is a JSON string (RFC 7644, section 3.4.2.2).
var comparison = regexp.MustCompile(`^\s*([\w.:]+) (?i:eq) ("(?:[^"\\]|\\.)*"|[^\s"()]+)\s*`)

var errFilter = errors.New("the simulator does not support this filter")

// readFilter reads comparisons by "eq" that are joined by "and".
func readFilter(filter string) ([]term, error) {
	var terms []term
	for filter != "" {
		m := comparison.FindStringSubmatch(filter)
		if m == nil {
			return nil, errFilter
		}
		value := m[2]
		if value[0] == '"' {
			if err := json.Unmarshal([]byte(m[2]), &value); err != nil {
				return nil, errFilter
			}
		}
		terms = append(terms, term{m[1], value})
		if filter = filter[len(m[0]):]; filter == "" {
			break
		}
		rest, ok := strings.CutPrefix(filter, "and ")
		if !ok {
			return nil, errFilter
		}
		filter = rest
	}
	return terms, nil
}

// matches compares one value as "eq" does. exact compares case-sensitively.
func (s *Server) matches(got, want string, exact bool) bool {
	switch {
	case s.cfg.Quirks.LooseFilters:
		return strings.HasPrefix(strings.ToLower(got), strings.ToLower(want))
	case exact:
		return got == want
	default:
		return strings.EqualFold(got, want)
	}
}

// listing answers with the items of held that match all terms of the request's filter. none is the answer to an empty
// list at a server that sends 404.
func listing[T any](
	s *Server, held func() iter.Seq[T], meets func(T, term) bool, show func(T) map[string]any, none string,
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		terms, err := readFilter(r.URL.Query().Get("filter"))
		if err != nil {
			s.refuse(w, http.StatusBadRequest, "invalidFilter", err.Error())
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		found := []map[string]any{}
		for one := range held() {
			if !slices.ContainsFunc(terms, func(t term) bool { return !meets(one, t) }) {
				found = append(found, show(one))
			}
		}
		s.list(w, found, none)
	}
}

// list answers with the results of a filter.
func (s *Server) list(w http.ResponseWriter, found []map[string]any, none string) {
	if len(found) == 0 && s.cfg.Quirks.EmptyIs404 {
		s.refuse(w, http.StatusNotFound, "", none)
		return
	}
	writeJSON(w, http.StatusOK, mediaType, map[string]any{
		"schemas":      []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"},
		"totalResults": len(found), "startIndex": 1, "itemsPerPage": len(found), "Resources": found,
	})
}
