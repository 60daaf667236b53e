package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/text/language"

	"homeroom/internal/problem"
	"homeroom/messages"
)

// Language chooses the language of an answer: preferences that are known from elsewhere come first, then the request's own
// header. Caches are told that there are others.
func Language(c *gin.Context, texts *messages.Texts, preferences ...string) messages.Localizer {
	language := texts.For(append(slices.Clone(preferences), strings.Join(c.Request.Header.Values("Accept-Language"), ","))...)
	h := c.Writer.Header()
	h.Set("Content-Language", language.Tag())
	if !slices.Contains(h.Values("Vary"), "Accept-Language") {
		h.Add("Vary", "Accept-Language")
	}
	return language
}

// languageCookie remembers the language of a person's pages for as long as languageFor.
const (
	languageCookie = "homeroom-language"
	languageFor    = 30 * 24 * time.Hour
)

// pageLanguage chooses the language of a page: what its address asks for (ui_locales), which later pages of this browser keep
// to; what is known from elsewhere; what an earlier page was asked for; and then the request's own header.
func (s *site) pageLanguage(c *gin.Context, known ...string) messages.Localizer {
	asked := c.Query("ui_locales")
	remembered, _ := c.Cookie(languageCookie) // empty where there is none
	localizer := Language(c, s.cfg.Texts, append(append([]string{asked}, known...), remembered)...)
	if _, matched := s.cfg.Texts.Match(asked); matched {
		http.SetCookie(c.Writer, &http.Cookie{ //nolint:gosec // a language is no secret, and is remembered without https too
			Name: languageCookie, Value: localizer.Tag(), Path: "/", MaxAge: int(languageFor / time.Second), HttpOnly: true,
			SameSite: http.SameSiteLaxMode,
		})
	}
	problem.SetLanguage(c.Request.Context(), localizer) // what is wrong is told in it too
	return localizer
}

// Locale is the language that a person reads first, as a mail to them is written; empty when they do not say.
func Locale(acceptLanguage string) string {
	wanted, _, err := language.ParseAcceptLanguage(acceptLanguage[:min(len(acceptLanguage), 500)])
	if err != nil || len(wanted) == 0 || wanted[0] == language.Und {
		return ""
	}
	return wanted[0].String()
}
