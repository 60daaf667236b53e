package web

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"homeroom/internal/problem"
	"homeroom/messages"
)

// languageCookie stores the language of a person's pages for the time languageFor.
const (
	languageCookie = "homeroom-language"
	languageFor    = 30 * 24 * time.Hour
)

// pageLanguage chooses the language of a page: the one in its address (ui_locales), which later pages of this browser
// use as well; those in known; the one of an earlier page; and then the request's header.
func (s *Site) pageLanguage(c *gin.Context, known ...string) messages.Localizer {
	asked := c.Query("ui_locales")
	remembered, _ := c.Cookie(languageCookie) // empty without one
	localizer := s.cfg.Texts.Negotiate(c.Writer, c.Request, append(append([]string{asked}, known...), remembered)...)
	if _, matched := s.cfg.Texts.Match(asked); matched {
		http.SetCookie(c.Writer, &http.Cookie{ //nolint:gosec // a language is no secret, and is stored without https as well
			Name: languageCookie, Value: localizer.Tag(), Path: "/", MaxAge: int(languageFor / time.Second), HttpOnly: true,
			SameSite: http.SameSiteLaxMode,
		})
	}
	problem.SetLanguage(c.Request.Context(), localizer) // errors are in this language, too
	return localizer
}
