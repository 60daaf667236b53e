package tenant

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Difference is one thing in which a schema is not what it should be.
type Difference struct {
	// Kind and Name say of what, such as "index" and "public.menus_pkey".
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Want is how it should be; empty when it should not be there. Got is how it is; empty when it is missing.
	Want string `json:"want,omitempty"`
	Got  string `json:"got,omitempty"`
}

// String says it in a few words, such as: missing index public.menus_by_day.
func (d Difference) String() string {
	switch {
	case d.Got == "":
		return fmt.Sprintf("missing %s %s", d.Kind, d.Name)
	case d.Want == "":
		return fmt.Sprintf("unexpected %s %s", d.Kind, d.Name)
	}
	return fmt.Sprintf("%s %s: want %q, got %q", d.Kind, d.Name, d.Want, d.Got)
}

// Diff tells in what the actual schema differs from s, sorted by kind and name; nothing when they are equal.
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

// plain stands for the rest of a line that has none, such as that of a table without options.
const plain = "plain"

// byName is the rest of each line. Lines of one name, as of the triggers behind one foreign key, are one.
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

// cutLine takes a line apart. A name may have spaces where it is quoted, and in the arguments of a function.
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
