package web

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"homeroom/internal/problem"
	"homeroom/messages"
)

// languageCookie remembers the language of a person's pages for as long as languageFor.
const (
	languageCookie = "homeroom-language"
	languageFor    = 30 * 24 * time.Hour
)

// pageLanguage chooses the language of a page: what its address asks for (ui_locales), which later pages of this browser keep
// to; what is known from elsewhere; what an earlier page was asked for; and then the request's own header.
func (s *Site) pageLanguage(c *gin.Context, known ...string) messages.Localizer {
	asked := c.Query("ui_locales")
	remembered, _ := c.Cookie(languageCookie) // empty where there is none
	localizer := s.cfg.Texts.Negotiate(c.Writer, c.Request, append(append([]string{asked}, known...), remembered)...)
	if _, matched := s.cfg.Texts.Match(asked); matched {
		http.SetCookie(c.Writer, &http.Cookie{ //nolint:gosec // a language is no secret, and is remembered without https too
			Name: languageCookie, Value: localizer.Tag(), Path: "/", MaxAge: int(languageFor / time.Second), HttpOnly: true,
			SameSite: http.SameSiteLaxMode,
		})
	}
	problem.SetLanguage(c.Request.Context(), localizer) // what is wrong is told in it too
	return localizer
}
