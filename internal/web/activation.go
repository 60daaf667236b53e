package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"homeroom/catalog"
	"homeroom/hosted"
	"homeroom/internal/problem"
	"homeroom/internal/secret"
	"homeroom/messages"
	"homeroom/signup"
)

// askActivation shows what a confirmation's link is about. It asks nobody but the catalog.
func (s *site) askActivation(c *gin.Context) {
	says := s.pageLanguage(c)
	token := c.Query("token")
	row, err := s.cfg.Signup.InspectActivation(c.Request.Context(), token)
	switch {
	case errors.Is(err, signup.ErrLinkGone):
		s.showText(c, says, http.StatusGone, "page.activation.expired")
	case err != nil:
		s.showProblem(c, says, err)
	case row.Status != catalog.AwaitingVerification:
		s.showText(c, says, http.StatusOK, "page.activation.done")
	default:
		s.showActivation(c, says, http.StatusOK, token, row, "")
	}
}

// showActivation writes the page on which an address is confirmed: what it is for, and the password to be chosen, with what was
// wrong with one before. The school's name is somebody else's words, perhaps: it stands in a field of its own.
func (s *site) showActivation(c *gin.Context, says messages.Localizer, status int, token string, row catalog.Signup, wrong string) {
	page := personPage{Title: says.Text("page.activation.title", nil), Text: says.Text("page.activation.text", nil)}
	form := &personForm{
		Action: "/activate", Button: says.Text("page.activation.button", nil),
		Fields: []personField{
			{Name: "token", Type: "hidden", Value: token},
			{Name: "schoolName", Label: says.Text("page.field.schoolName", nil), Type: "text", Value: row.SchoolName, ReadOnly: true},
			{Name: "email", Label: says.Text("page.field.email", nil), Type: "email", Value: row.Email, Autocomplete: "username", ReadOnly: true},
		},
	}
	switch {
	case row.IdentityID != nil:
		page.Text, form.Button = says.Text("page.activation.text_login", nil), ""
		page.Link = s.confirmLink(says, token)
	case s.cfg.Signup.NeedsPassword(row):
		page.Text = says.Text("page.activation.text_password", nil)
		form.Fields = append(form.Fields, personField{
			Name: "password", Label: says.Text("page.field.password", nil), Type: "password", Autocomplete: "new-password", Required: true,
			Problem: wrong,
		})
	}
	page.Form = form
	s.show(c, says, status, page)
}

// confirmLink leads to where somebody logs in and confirms a sign-up with their login; nil where there is no such place.
func (s *site) confirmLink(says messages.Localizer, token string) *personLink {
	link := &personLink{Text: says.Text("page.activation.login", nil)}
	switch {
	case s.cfg.Hosted != nil:
		link.URL = registerPath + "?confirm=" + url.QueryEscape(token)
	case s.cfg.AppURL != "":
		link.URL = hosted.WithQuery(s.cfg.AppURL, map[string]string{"confirm": token})
	default:
		return nil
	}
	return link
}

func (s *site) activate(c *gin.Context) {
	says, ctx := s.pageLanguage(c), c.Request.Context()
	token := c.PostForm("token")
	outcome, err := s.cfg.Signup.Activate(ctx, token, secret.String(c.PostForm("password")))
	p := problem.Of(err)
	ask := errors.Is(err, signup.ErrAccountRequired)
	switch {
	case errors.Is(err, signup.ErrLinkGone):
		s.showText(c, says, http.StatusGone, "page.activation.expired")
	case errors.Is(err, signup.ErrEmailExists):
		p.Note(ctx, c.Writer.Header())
		s.show(c, says, p.Status, personPage{
			Title: says.Text("page.activation.exists_title", nil), Text: says.Text("page.activation.exists", nil), Link: s.loginLink(says),
		})
	case err != nil && (ask || p.Code == problem.ValidationError.Code):
		row, look := s.cfg.Signup.InspectActivation(ctx, token)
		if look != nil {
			s.showProblem(c, says, look)
			return
		}
		p.Note(ctx, c.Writer.Header())
		wrong := ""
		if !ask {
			wrong = p.Errors[0].Message
		}
		s.showActivation(c, says, p.Status, token, row, wrong)
	case err != nil:
		s.showProblem(c, says, err)
	default:
		s.showActivated(c, says, outcome)
	}
}

// showActivated tells how a sign-up goes on whose e-mail has been confirmed.
func (s *site) showActivated(c *gin.Context, says messages.Localizer, outcome signup.Outcome) {
	if outcome.Status == catalog.AwaitingApproval {
		s.show(c, says, http.StatusOK, personPage{Title: says.Text("page.waiting.title", nil), Text: says.Text("page.waiting.text", nil)})
		return
	}
	s.show(c, says, http.StatusOK, personPage{
		Title: says.Text("page.activation.success_title", nil), Text: says.Text("page.activation.success", nil), Link: s.loginLink(says),
	})
}

// confirmHosted confirms a sign-up with the login that the person has just used on the provider's pages.
func (s *site) confirmHosted(c *gin.Context, says messages.Localizer, trip hosted.FlowState, person hosted.Person) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), s.cfg.Timeout)
	defer cancel()
	outcome, err := s.cfg.Signup.ActivateWithAccount(ctx, trip.Confirm, person.Identity.ID)
	switch {
	case err == nil:
		if s.finished(c, says, trip, outcome.SignupID) {
			s.showActivated(c, says, outcome)
		}
	case errors.Is(err, signup.ErrInProgress) && s.leadOn(c, trip): // by another request of this person
	case errors.Is(err, signup.ErrInProgress), problem.Of(err).Status == http.StatusServiceUnavailable:
		s.offerAgain(c, says, trip, person, err)
	default:
		s.endHosted(c, says, trip, err)
	}
}
