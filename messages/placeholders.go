package messages

import (
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

func names(m *i18n.Message) []string {
	all := map[string]bool{}
	for _, text := range forms(m) {
		for _, match := range placeholder.FindAllStringSubmatch(text, -1) {
			all[match[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// compare refuses a text with more than the English one has: an id or a placeholder that there is not, or the
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
