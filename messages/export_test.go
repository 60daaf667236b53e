package messages

import (
	"maps"
	"slices"

	"golang.org/x/text/language"
)

// IDs are the ids of all texts, in their order.
func (t *Texts) IDs() []string { return slices.Sorted(maps.Keys(t.byID[language.English])) }

// Placeholders are the names that a text's placeholders have in a language, sorted.
func (t *Texts) Placeholders(tag, id string) []string {
	for known, texts := range t.byID {
		if known.String() == tag && texts[id] != nil {
			return names(texts[id])
		}
	}
	return nil
}

// Translation is the text that a language itself has for an id, the plural form where it has several; empty where it has none.
func (t *Texts) Translation(tag, id string) string {
	for known, texts := range t.byID {
		if known.String() == tag && texts[id] != nil {
			return texts[id].Other
		}
	}
	return ""
}
