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

// getActivation shows the sign-up of a confirmation link. It only reads the catalog.
func (s *Site) getActivation(c *gin.Context) {
	localizer := s.pageLanguage(c)
	token := c.Query("token")
	row, err := s.cfg.Signup.InspectActivation(c.Request.Context(), token)
	switch {
	case errors.Is(err, signup.ErrLinkGone):
		s.showText(c, localizer, http.StatusGone, "page.activation.expired")
	case err != nil:
		s.showProblem(c, localizer, err)
	case row.Status != catalog.AwaitingVerification:
		s.showText(c, localizer, http.StatusOK, "page.activation.done")
	default:
		s.showActivation(c, localizer, http.StatusOK, token, row, "")
	}
}

// showActivation writes the page on which an address is confirmed: the school, and the password to choose, with the
// error of an earlier one. Another person may have written the school's name, so it has a field of its own.
func (s *Site) showActivation(c *gin.Context, localizer messages.Localizer, status int, token string, row catalog.Signup, wrong string) {
	page := personPage{Title: localizer.Text("page.activation.title", nil), Text: localizer.Text("page.activation.text", nil)}
	form := &personForm{
		Action: "/activate", Button: localizer.Text("page.activation.button", nil),
		Fields: []personField{
			{Name: "token", Type: "hidden", Value: token},
			{Name: "schoolName", Label: localizer.Text("page.field.schoolName", nil), Type: "text", Value: row.SchoolName, ReadOnly: true},
			{Name: "email", Label: localizer.Text("page.field.email", nil), Type: "email", Value: row.Email, Autocomplete: "username", ReadOnly: true},
		},
	}
	switch {
	case row.IdentityID != nil:
		page.Text, form.Button = localizer.Text("page.activation.text_login", nil), ""
		page.Link = s.confirmLink(localizer, token)
	case s.cfg.Signup.NeedsPassword(row):
		page.Text = localizer.Text("page.activation.text_password", nil)
		form.Fields = append(form.Fields, personField{
			Name: "password", Label: localizer.Text("page.field.password", nil), Type: "password", Autocomplete: "new-password", Required: true,
			Problem: wrong,
		})
	}
	page.Form = form
	s.show(c, localizer, status, page)
}

// confirmLink links to the page where a person logs in and confirms a sign-up with an existing account; nil without
// such a page.
func (s *Site) confirmLink(localizer messages.Localizer, token string) *personLink {
	link := &personLink{Text: localizer.Text("page.activation.login", nil)}
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

func (s *Site) postActivation(c *gin.Context) {
	localizer, ctx := s.pageLanguage(c), c.Request.Context()
	token := c.PostForm("token")
	outcome, err := s.cfg.Signup.Activate(ctx, token, secret.String(c.PostForm("password")))
	p := problem.Of(err)
	ask := errors.Is(err, signup.ErrAccountRequired)
	switch {
	case errors.Is(err, signup.ErrLinkGone):
		s.showText(c, localizer, http.StatusGone, "page.activation.expired")
	case errors.Is(err, signup.ErrEmailExists):
		p.Complete(ctx, c.Writer.Header())
		s.show(c, localizer, p.Status, personPage{
			Title: localizer.Text("page.activation.exists_title", nil), Text: localizer.Text("page.activation.exists", nil), Link: s.loginLink(localizer),
		})
	case err != nil && (ask || p.Code == problem.ValidationError.Code):
		row, inspectErr := s.cfg.Signup.InspectActivation(ctx, token)
		if inspectErr != nil {
			s.showProblem(c, localizer, inspectErr)
			return
		}
		p.Complete(ctx, c.Writer.Header())
		wrong := ""
		if !ask {
			wrong = p.Errors[0].Message
		}
		s.showActivation(c, localizer, p.Status, token, row, wrong)
	case err != nil:
		s.showProblem(c, localizer, err)
	default:
		s.showActivated(c, localizer, outcome)
	}
}

// showActivated shows the progress of a sign-up whose e-mail has been confirmed.
func (s *Site) showActivated(c *gin.Context, localizer messages.Localizer, outcome signup.Outcome) {
	if outcome.Status == catalog.AwaitingApproval {
		s.show(c, localizer, http.StatusOK, personPage{Title: localizer.Text("page.waiting.title", nil), Text: localizer.Text("page.waiting.text", nil)})
		return
	}
	s.show(c, localizer, http.StatusOK, personPage{
		Title: localizer.Text("page.activation.success_title", nil), Text: localizer.Text("page.activation.success", nil), Link: s.loginLink(localizer),
	})
}

// confirmHosted confirms a sign-up with the account that the person has just used on the provider's pages.
func (s *Site) confirmHosted(c *gin.Context, localizer messages.Localizer, state hosted.FlowState, person hosted.Person) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), signupTimeout)
	defer cancel()
	outcome, err := s.cfg.Signup.ActivateWithAccount(ctx, state.Confirm, person.Identity.ID)
	switch {
	case err == nil:
		if s.saveResult(c, localizer, state, outcome.SignupID) {
			s.showActivated(c, localizer, outcome)
		}
	case errors.Is(err, signup.ErrInProgress) && s.followSignup(c, state): // by another request of this person
	case errors.Is(err, signup.ErrInProgress), problem.Of(err).Status == http.StatusServiceUnavailable:
		s.showRetry(c, localizer, state, person, err)
	default:
		s.showEnding(c, localizer, state, err)
	}
}
