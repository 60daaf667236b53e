package scim

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzEqual checks that a value stays one JSON string in a filter: the server compares with this value only.
func FuzzEqual(f *testing.F) {
	for _, value := range []string{"ada@lincoln.example", `a" or userName pr or "`, `\`, `\"`, `"`, "", `\u0022`, "é"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			return // no address or name for which we search contains these
		}
		filter := equal("userName", value)
		literal, ok := strings.CutPrefix(filter, "userName eq ")
		var got string
		if err := json.Unmarshal([]byte(literal), &got); !ok || err != nil || got != value {
			t.Errorf("the filter for %q is %s, which compares with %q (%v)", value, filter, got, err)
		}
	})
}
