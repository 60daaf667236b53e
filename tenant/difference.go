package tenant

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Difference is one thing in which a schema differs from the expected one.
type Difference struct {
	// Kind and Name identify the thing, such as "index" and "public.menus_pkey".
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Want is the expected definition; empty when the thing is unexpected. Got is the actual one; empty when it is missing.
	Want string `json:"want,omitempty"`
	Got  string `json:"got,omitempty"`
}

// String formats the difference, such as: missing index public.menus_by_day.
func (d Difference) String() string {
	switch {
	case d.Got == "":
		return fmt.Sprintf("missing %s %s", d.Kind, d.Name)
	case d.Want == "":
		return fmt.Sprintf("unexpected %s %s", d.Kind, d.Name)
	}
	return fmt.Sprintf("%s %s: want %q, got %q", d.Kind, d.Name, d.Want, d.Got)
}

// Diff returns the differences of the actual schema from s, sorted by kind and name; none when they are equal.
func (s Schema) Diff(actual Schema) []Difference {
	want, got := s.byName(), actual.byName()
	var differences []Difference
	for key, rest := range want {
		if got[key] != rest {
			differences = append(differences, Difference{Kind: key.kind, Name: key.name, Want: rest, Got: got[key]})
		}
	}
	for key, rest := range got {
		if _, both := want[key]; !both {
			differences = append(differences, Difference{Kind: key.kind, Name: key.name, Got: rest})
		}
	}
	slices.SortFunc(differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return differences
}

type lineKey struct{ kind, name string }

// plain stands for the rest of a line without one, such as that of a table without options.
const plain = "plain"

// byName returns the rest of each line by its kind and name. Lines with the same name, such as those of a foreign key's
// triggers, are joined.
func (s Schema) byName() map[lineKey]string {
	rests := make(map[lineKey]string, len(s))
	for _, line := range slices.Sorted(slices.Values(s)) {
		key, rest := cutLine(line)
		rest = cmp.Or(rest, plain)
		if before, ok := rests[key]; ok {
			rest = before + "; " + rest
		}
		rests[key] = rest
	}
	return rests
}

// cutLine splits a line. A name may contain spaces if it is quoted, and in the arguments of a function.
func cutLine(line string) (key lineKey, rest string) {
	key.kind, rest, _ = strings.Cut(line, " ")
	quoted, depth := false, 0
	end := strings.IndexFunc(rest, func(r rune) bool {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ' ':
			return depth == 0
		}
		return false
	})
	if end < 0 {
		key.name = rest
		return key, ""
	}
	key.name = rest[:end]
	return key, rest[end+1:]
}
