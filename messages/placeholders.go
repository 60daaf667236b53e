package messages

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
)

// placeholder is the only thing that a text may have beside its words.
var placeholder = regexp.MustCompile(`\{\{\.(\w+)\}\}`)

// forms are the texts of a message by their plural forms.
func forms(m *i18n.Message) map[string]string {
	all := map[string]string{
		"zero": m.Zero, "one": m.One, "two": m.Two, "few": m.Few, "many": m.Many, "other": m.Other,
	}
	maps.DeleteFunc(all, func(_, text string) bool { return text == "" })
	return all
}

// Placeholders are the names that a text's placeholders have in a language, sorted.
func (t *Texts) Placeholders(tag, id string) []string {
	for known, texts := range t.byID {
		if known.String() == tag && texts[id] != nil {
			return names(texts[id])
		}
	}
	return nil
}

// Own is what a language itself says of an id, for many things where it has plurals; empty where it says nothing.
func (t *Texts) Own(tag, id string) string {
	for known, texts := range t.byID {
		if known.String() == tag && texts[id] != nil {
			return texts[id].Other
		}
	}
	return ""
}

func names(m *i18n.Message) []string {
	all := map[string]bool{}
	for _, text := range forms(m) {
		for _, match := range placeholder.FindAllStringSubmatch(text, -1) {
			all[match[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// compare refuses a text that says more than the English one can: an id or a placeholder that there is not, or the
// beginnings of a program.
func compare(english, m *i18n.Message) error {
	if english == nil {
		return errors.New("there is no text with this id")
	}
	known := names(english)
	for _, name := range names(m) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("there is no placeholder {{.%s}} in this text, only %v", name, known)
		}
	}
	for _, text := range forms(m) {
		if strings.Contains(placeholder.ReplaceAllString(text, ""), "{{") {
			return errors.New("a text may hold placeholders such as {{.Product}}, and nothing else in braces")
		}
	}
	return nil
}

// index finds texts by what they say in English, so that the code that words an error needs to know neither ids nor
// languages.
type index struct {
	// whole are the texts without placeholders; patterns the others, those with the most words of their own first.
	whole    map[string]found
	patterns []pattern
}

// found is a text with the values of its placeholders.
type found struct {
	id     string
	values map[string]string
}

type pattern struct {
	id     string
	text   *regexp.Regexp
	weight int
}

// indexed are the beginnings of the ids of texts that the code says in English.
var indexed = []string{"detail.", "field.", "part.", "state."}

func newIndex(english map[string]*i18n.Message) index {
	x := index{whole: map[string]found{}}
	for _, id := range slices.Sorted(maps.Keys(english)) {
		if !slices.ContainsFunc(indexed, func(prefix string) bool { return strings.HasPrefix(id, prefix) }) {
			continue
		}
		for form, text := range forms(english[id]) {
			if !placeholder.MatchString(text) {
				x.whole[text] = found{id: id}
				if form == "one" {
					x.whole[text] = found{id, map[string]string{"Count": "1"}}
				}
				continue
			}
			x.patterns = append(x.patterns, pattern{id, expression(text), len(placeholder.ReplaceAllString(text, ""))})
		}
	}
	slices.SortStableFunc(x.patterns, func(a, b pattern) int { return cmp.Compare(b.weight, a.weight) })
	return x
}

// expression matches a text with anything in the places of its placeholders.
func expression(text string) *regexp.Regexp {
	var e strings.Builder
	e.WriteString(`(?s)^`)
	end := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		e.WriteString(regexp.QuoteMeta(text[end:at[0]]))
		fmt.Fprintf(&e, `(?P<%s>.+?)`, text[at[2]:at[3]])
		end = at[1]
	}
	e.WriteString(regexp.QuoteMeta(text[end:]) + `$`)
	return regexp.MustCompile(e.String())
}

// find tells which text an English one is.
func (x index) find(english string) (found, bool) {
	if text, ok := x.whole[english]; ok {
		return text, true
	}
	for _, p := range x.patterns {
		match := p.text.FindStringSubmatch(english)
		if match == nil {
			continue
		}
		values := map[string]string{}
		for i, name := range p.text.SubexpNames()[1:] {
			values[name] = match[i+1]
		}
		return found{p.id, values}, true
	}
	return found{}, false
}
