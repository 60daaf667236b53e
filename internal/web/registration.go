package web

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"homeroom/admission"
	"homeroom/internal/problem"
	"homeroom/internal/secret"
	"homeroom/messages"
	"homeroom/signup"
)

// registrationPath is the page on which people sign their school up.
const registrationPath = "/"

// registerRegistration adds the page on which people sign their school up, and the one that shows how far that is.
// They need no script.
func (s *Site) registerRegistration(router gin.IRouter) {
	router.GET(registrationPath, s.getRegistration)
	router.POST(registrationPath, s.refuseOtherOrigins, limitForm, s.postRegistration)
	router.GET("/ui/*file", s.getAsset)
	router.GET(statusPath+":id", s.getStatus)
	router.POST(statusPath+":id", limitForm, s.postResend)
}

// getAsset answers with a script or a style sheet of a page.
func (s *Site) getAsset(c *gin.Context) {
	if !s.assets.ServeFile(c.Writer, c.Param("file")) {
		problem.Write(c.Writer, c.Request, problem.New(problem.NotFound, messages.ID("detail.no_path")))
	}
}

// getRegistration shows the empty form, or why nobody can sign up with it.
func (s *Site) getRegistration(c *gin.Context) {
	localizer := s.pageLanguage(c)
	if err := s.cfg.Signup.Accepts(); err != nil {
		s.showRegistrationError(c, localizer, "", err)
		return
	}
	s.showRegistration(c, localizer, http.StatusOK, registrationForm{key: uuid.NewString()})
}

// registrationForm is what the form shows besides its fields.
type registrationForm struct {
	// key is the idempotency key of the sign-up that the form sends.
	key string
	// problem is why what was sent did not work; empty where it is about fields.
	problem string
	// wrong are the messages about fields.
	wrong map[string]string
	// exists is set where the e-mail has an account.
	exists bool
}

// showRegistration writes the form, with what was sent before, except passwords.
func (s *Site) showRegistration(c *gin.Context, localizer messages.Localizer, status int, show registrationForm) {
	form := &personForm{Action: registrationPath, Button: localizer.Text("page.registration.button", nil)}
	focus := false
	add := func(f personField) {
		if f.Type != "hidden" {
			f.Label = localizer.Text("page.field."+f.Name, nil)
		}
		if f.Value == "" && f.Type != "password" {
			f.Value = c.PostForm(f.Name)
		}
		f.Problem = show.wrong[f.Name]
		f.Focus = f.Problem != "" && !focus // the first one
		focus = focus || f.Focus
		form.Fields = append(form.Fields, f)
	}
	add(personField{Name: "key", Type: "hidden", Value: show.key})
	add(personField{Name: "email", Type: "email", Autocomplete: "email", Required: true})
	add(personField{Name: "schoolName", Type: "text", Autocomplete: "organization", Required: true})
	rules := s.cfg.Signup.Rules()
	for _, name := range personFields {
		if presence, asked := rules.Fields[name]; asked {
			add(personField{Name: name, Type: "text", Autocomplete: autocompletes[name], Required: presence == signup.Required})
		}
	}
	if !rules.NoPassword {
		hint := localizer.Text("page.registration.password_hint", nil)
		add(personField{Name: "password", Type: "password", Autocomplete: "new-password", Required: true, Hint: hint})
		add(personField{Name: "confirmPassword", Type: "password", Autocomplete: "new-password", Required: true})
	}
	page := personPage{Title: localizer.Text("page.registration.title", nil), Problem: show.problem, Form: form, Links: s.otherWays(localizer)}
	if show.exists {
		page.Link = s.loginLink(localizer)
	}
	switch {
	case focus:
		page.Problem = localizer.Text("page.registration.correct", nil)
	case len(show.wrong) > 0: // of a field that is not in the form, such as a CAPTCHA
		page.Problem = strings.Join(slices.Sorted(maps.Values(show.wrong)), " ")
	}
	if entry, built := s.assets.Entry("registration"); built {
		page.Script, page.Styles, page.Data = entry.Script, entry.Styles, registrationData(localizer, page, s.loginLink(localizer))
	}
	s.show(c, localizer, status, page)
}

// providerNames are how the providers of [Config.OAuth] call themselves.
var providerNames = map[string]string{"google": "Google", "github": "GitHub", "gitlab": "GitLab", "azure-ad": "Microsoft", "slack": "Slack"}

// otherWays leads to the pages of the identity provider, where they are configured.
func (s *Site) otherWays(localizer messages.Localizer) (links []personLink) {
	if s.cfg.Hosted == nil {
		return nil
	}
	for _, provider := range slices.Sorted(maps.Keys(s.cfg.OAuth)) {
		links = append(links, personLink{
			URL:  registerPath + "?" + url.Values{"connection": {s.cfg.OAuth[provider]}}.Encode(),
			Text: localizer.Text("page.registration.with", map[string]any{"Provider": cmp.Or(providerNames[provider], provider)}),
		})
	}
	return append(links, personLink{URL: registerPath, Text: localizer.Text("page.registration.hosted", nil)})
}

// postRegistration signs a school up. The form's key is the idempotency key: a form that is sent twice is one
// sign-up. A browser that goes away stops nothing.
func (s *Site) postRegistration(c *gin.Context) {
	localizer := s.pageLanguage(c)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), signupTimeout)
	defer cancel()
	req := registrationRequest(c, localizer)
	wrong := map[string]string{}
	if !s.cfg.Signup.Rules().NoPassword && c.PostForm("confirmPassword") != c.PostForm("password") {
		wrong["confirmPassword"] = localizer.Text("page.registration.mismatch", nil)
	}
	if len(wrong) > 0 {
		if _, err := req.Normalise(s.cfg.Signup.Rules()); err != nil {
			_ = addWrong(ctx, c, wrong, err) // the page shows the fields; the problem itself is not answered
		}
		s.showRegistration(c, localizer, http.StatusUnprocessableEntity, registrationForm{key: uuid.NewString(), wrong: wrong})
		return
	}
	applicant := admission.Applicant{EntryPoint: admission.Form, Request: req}
	outcome, err := s.admit(ctx, c, applicant)
	if errors.Is(err, signup.ErrKeyReused) { // the form was changed after it had been sent: another sign-up
		applicant.Request.IdempotencyKey = uuid.NewString()
		outcome, err = s.admit(ctx, c, applicant)
	}
	if errors.Is(err, signup.ErrInProgress) {
		if row, rowErr := s.cfg.Catalog.SignupByKey(ctx, applicant.Request.IdempotencyKey); rowErr == nil {
			outcome.SignupID, err = row.ID, nil
		}
	}
	if err != nil {
		s.showRegistrationError(c, localizer, applicant.Request.IdempotencyKey, err)
		return
	}
	c.Redirect(http.StatusSeeOther, statusURL(outcome.SignupID.String(), c.Query("ui_locales")))
}

// registrationRequest is what the form asks for.
func registrationRequest(c *gin.Context, localizer messages.Localizer) signup.Request {
	key := c.PostForm("key")
	if !signup.ValidKey(key) {
		key = uuid.NewString()
	}
	return signup.Request{
		IdempotencyKey: key, Email: c.PostForm("email"), Password: secret.String(c.PostForm("password")),
		SchoolName: c.PostForm("schoolName"), Person: enteredPerson(c), Locale: localizer.Tag(),
	}
}

// addWrong adds the messages about fields that an error has.
func addWrong(ctx context.Context, c *gin.Context, wrong map[string]string, err error) (p *problem.Problem) {
	p = problem.Of(err)
	p.Complete(ctx, c.Writer.Header())
	for _, field := range p.Errors {
		wrong[field.Field] = field.Message
	}
	return p
}

// showRegistrationError shows the form again, where a retry can succeed, with what did not work. After a refusal
// the next try is a sign-up of its own; after a temporary failure the key that was sent continues the sign-up.
func (s *Site) showRegistrationError(c *gin.Context, localizer messages.Localizer, sent string, err error) {
	if errors.Is(err, signup.ErrClosed) || errors.Is(err, signup.ErrInvitationRequired) {
		p := problem.Of(err)
		p.Complete(c.Request.Context(), c.Writer.Header())
		page := personPage{Title: localizer.Text("page.closed.title", nil), Text: localizer.Text("page.closed.text", nil), Link: s.loginLink(localizer)}
		s.show(c, localizer, p.Status, page)
		return
	}
	show := registrationForm{key: uuid.NewString(), wrong: map[string]string{}}
	p := addWrong(c.Request.Context(), c, show.wrong, err)
	switch {
	case errors.Is(err, signup.ErrEmailExists):
		show.wrong["email"], show.exists = localizer.Text("page.hosted.exists", nil), true
	case len(show.wrong) > 0:
	case p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests:
		show.key, show.problem = sent, p.Detail
	default:
		s.showProblem(c, localizer, err)
		return
	}
	s.showRegistration(c, localizer, p.Status, show)
}
