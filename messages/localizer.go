package messages

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

// maxPreferenceBytes bounds what is read of a preference: it comes from anybody.
const maxPreferenceBytes = 500

// Localizer formats texts in one language.
type Localizer struct {
	texts *Texts
	tag   language.Tag
	// chain are the languages in which a text is looked for, and the localizer of each.
	chain []fallback
}

type fallback struct {
	tag       language.Tag
	localizer *i18n.Localizer
}

// For chooses the language that suits a person. Each preference is an Accept-Language header, the languages of ui_locales
// (separated by spaces), or a single tag; the first that names a language with texts wins, and the service's own is for the
// rest.
func (t *Texts) For(preferences ...string) Localizer {
	for _, preference := range preferences {
		if localizer, matched := t.Match(preference); matched {
			return localizer
		}
	}
	return t.localizers[t.tags[0]]
}

// Match chooses the language of one preference (see [Texts.For]), and reports whether it names one that there is.
func (t *Texts) Match(preference string) (localizer Localizer, matched bool) {
	wanted := languages(preference)
	if len(wanted) == 0 {
		return Localizer{}, false
	}
	_, i, sure := t.matcher.Match(wanted...)
	return t.localizers[t.tags[i]], sure != language.No
}

// Negotiate chooses the language of an answer: preferences that are known from elsewhere come first, then the request's own
// header. Caches are told that there are others.
func (t *Texts) Negotiate(w http.ResponseWriter, r *http.Request, preferences ...string) Localizer {
	localizer := t.For(append(slices.Clone(preferences), strings.Join(r.Header.Values("Accept-Language"), ","))...)
	h := w.Header()
	h.Set("Content-Language", localizer.Tag())
	if !slices.Contains(h.Values("Vary"), "Accept-Language") {
		h.Add("Vary", "Accept-Language")
	}
	return localizer
}

// FirstLanguage is the tag of the language that a person reads first, as a mail to them is written; empty when they do not say.
func FirstLanguage(acceptLanguage string) string {
	wanted, _, err := language.ParseAcceptLanguage(acceptLanguage[:min(len(acceptLanguage), maxPreferenceBytes)])
	if err != nil || len(wanted) == 0 || wanted[0] == language.Und {
		return ""
	}
	return wanted[0].String()
}

// languages reads a preference. A part of it that names no language hides none of the others.
func languages(preference string) []language.Tag {
	preference = preference[:min(len(preference), maxPreferenceBytes)]
	parts := strings.Split(preference, ",")
	if !strings.ContainsAny(preference, ",;") {
		parts = strings.Fields(preference)
	}
	parts = slices.DeleteFunc(parts, func(part string) bool {
		_, _, err := language.ParseAcceptLanguage(part)
		return err != nil
	})
	wanted, _, err := language.ParseAcceptLanguage(strings.Join(parts, ","))
	if err != nil {
		return nil
	}
	return wanted
}

// in is the localizer of a language.
func (t *Texts) in(tag language.Tag) Localizer {
	l := Localizer{texts: t, tag: tag}
	for _, next := range []language.Tag{tag, t.tags[0], language.English} {
		if !slices.ContainsFunc(l.chain, func(s fallback) bool { return s.tag == next }) {
			l.chain = append(l.chain, fallback{next, i18n.NewLocalizer(t.bundle, next.String())})
		}
	}
	return l
}

// Tag is the language, as a BCP 47 tag such as "de".
func (l Localizer) Tag() string { return l.tag.String() }

// Text is the text of this id with its placeholders replaced by the data. Where the text has a plural, the data's Count
// decides. An id that there is not comes back as it is, so that a page shows what it lacks.
func (l Localizer) Text(id string, data map[string]any) string {
	text, there := l.Lookup(id, data)
	if !there {
		return id
	}
	return text
}

// Lookup is [Localizer.Text] for ids that may not be there.
func (l Localizer) Lookup(id string, data map[string]any) (text string, there bool) {
	for _, s := range l.chain {
		if l.texts.byID[s.tag][id] == nil {
			continue
		}
		// An error with a text is about a plural that the language has and the file does not: the text is the other form.
		text, _ := s.localizer.Localize(&i18n.LocalizeConfig{MessageID: id, TemplateData: data, PluralCount: data["Count"]})
		if text != "" {
			return text, true
		}
	}
	return "", false
}

// FormatTime writes a point in time, in UTC.
func (l Localizer) FormatTime(at time.Time) string {
	at = at.UTC()
	return l.Text("time.moment", map[string]any{
		"Day": at.Day(), "Month": l.Text("month.m"+strconv.Itoa(int(at.Month())), nil), "Year": at.Year(),
		"Clock": at.Format("15:04"),
	})
}
