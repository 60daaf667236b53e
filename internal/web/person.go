package web

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"homeroom/admission"
	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/problem"
	"homeroom/internal/secret"
	"homeroom/messages"
	"homeroom/signup"
)

// personPolicy is pagePolicy for pages with a form of our own.
const personPolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// scriptPolicy is personPolicy for pages with a script of ours, which calls our API.
const scriptPolicy = personPolicy + "; script-src 'self'; connect-src 'self'"

// maxFormBytes is the size of a page's form.
const maxFormBytes = 16 << 10

// personPage is a page for people who follow a link in a mail: a title, a sentence, perhaps a form. It needs no script.
type personPage struct {
	Lang, Title, Text string
	// Problem is the error of the submitted form.
	Problem string
	Form    *personForm
	Link    *personLink
	// Links are alternatives to the form.
	Links []personLink
	// Data is what the script of the page reads, and Script and Styles are what the page loads besides. Defaults to no script.
	Data   any
	Script string
	Styles []string
	// Refresh, if not zero, reloads the page after this many seconds.
	Refresh int
}

type personForm struct {
	Action, Button string
	Fields         []personField
}

type personField struct {
	Name, Label, Type, Value, Autocomplete, Hint, Problem string
	// Focus puts the cursor into the field: the first one with an error.
	Required, ReadOnly, Focus bool
}

type personLink struct{ URL, Text string }

// registerPersonPages adds the pages of links in mails. Opening a link changes nothing, because programs that scan
// mails open links too: each page has a button.
func (s *Site) registerPersonPages(router gin.IRouter) {
	router.GET("/activate", s.getActivation)
	router.POST("/activate", limitForm, s.postActivation)
	router.GET("/invitation", s.getInvitation)
	router.POST("/invitation", limitForm, s.postInvitation)
}

// limitForm refuses requests that no form of these pages sends.
func limitForm(c *gin.Context) {
	if c.Request.ContentLength > maxFormBytes {
		c.Header("Connection", "close")
		problem.Write(c.Writer, c.Request, problem.BodyTooLarge(maxFormBytes))
		c.Abort()
		return
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxFormBytes)
	if !strings.HasPrefix(c.GetHeader("Content-Type"), "application/x-www-form-urlencoded") || c.Request.ParseForm() != nil {
		problem.Write(c.Writer, c.Request, problem.New(problem.MalformedRequest, messages.ID("detail.no_form")))
		c.Abort()
	}
}

// show writes a page.
func (s *Site) show(c *gin.Context, localizer messages.Localizer, status int, page personPage) {
	policy := personPolicy
	if page.Script != "" {
		policy = scriptPolicy
	}
	s.write(c, localizer, status, page, policy)
}

// write writes a page with a Content-Security-Policy.
func (s *Site) write(c *gin.Context, localizer messages.Localizer, status int, page personPage, policy string) {
	page.Lang = localizer.Tag()
	var body bytes.Buffer
	if err := s.templates.ExecuteTemplate(&body, "person.html", page); err != nil {
		problem.Write(c.Writer, c.Request, problem.Of(fmt.Errorf("write a page: %w", err)))
		return
	}
	c.Header("Content-Security-Policy", policy)
	c.Data(status, "text/html; charset=utf-8", body.Bytes())
}

// showProblem writes the page of an error that is not about the form.
func (s *Site) showProblem(c *gin.Context, localizer messages.Localizer, err error) {
	p := problem.Of(err)
	p.Complete(c.Request.Context(), c.Writer.Header())
	title, text := p.Title, p.Detail
	if p.Status >= http.StatusInternalServerError && p.Status != http.StatusServiceUnavailable {
		title, text = localizer.Text("page.error.title", nil), localizer.Text("page.error.text", map[string]any{"RequestID": p.RequestID})
	}
	s.show(c, localizer, p.Status, personPage{Title: title, Text: text})
}

// showText writes a page of two texts: id, and id with _title.
func (s *Site) showText(c *gin.Context, localizer messages.Localizer, status int, id string) {
	s.show(c, localizer, status, personPage{Title: localizer.Text(id+"_title", nil), Text: localizer.Text(id, nil)})
}

func (s *Site) getInvitation(c *gin.Context) {
	localizer := s.pageLanguage(c)
	s.showInvitation(c, localizer, c.Query("token"), http.StatusOK, nil, "")
}

// showInvitation writes the page of an invitation, with the errors of the submitted form.
func (s *Site) showInvitation(c *gin.Context, localizer messages.Localizer, token string, status int, wrong map[string]string, problem string) {
	invitation, err := s.cfg.Signup.Invitation(c.Request.Context(), token)
	if errors.Is(err, signup.ErrInvitationGone) {
		s.showText(c, localizer, http.StatusGone, "page.invitation.expired")
		return
	}
	text := localizer.Text("page.invitation.text_school", nil)
	if err == nil && invitation.TenantID != nil {
		var school catalog.Tenant
		school, err = s.cfg.Catalog.TenantByID(c.Request.Context(), *invitation.TenantID)
		text = localizer.Text("page.invitation.text", map[string]any{"SchoolName": school.Name})
	}
	if err != nil {
		s.showProblem(c, localizer, err)
		return
	}
	page := personPage{
		Title: localizer.Text("page.invitation.title", nil), Text: text, Problem: problem, Form: s.invitationForm(c, localizer, token, invitation, wrong),
	}
	if s.cfg.Hosted != nil { // for people with an account
		page.Link = &personLink{URL: "/register?invitation=" + url.QueryEscape(token), Text: localizer.Text("page.login.link", nil)}
	}
	s.show(c, localizer, status, page)
}

// invitationForm asks for the fields of a new account, filled in with the submitted values, except passwords.
func (s *Site) invitationForm(c *gin.Context, localizer messages.Localizer, token string, invitation catalog.Invitation, wrong map[string]string) *personForm {
	form := &personForm{Action: "/invitation", Button: localizer.Text("page.invitation.button", nil)}
	add := func(f personField) {
		if f.Type != "hidden" {
			f.Label = localizer.Text("page.field."+f.Name, nil)
		}
		if f.Value == "" && f.Type != "password" {
			f.Value = c.PostForm(f.Name)
		}
		f.Problem = wrong[f.Name]
		form.Fields = append(form.Fields, f)
	}
	add(personField{Name: "token", Type: "hidden", Value: token})
	if invitation.TenantID == nil {
		add(personField{Name: "schoolName", Type: "text", Autocomplete: "organization", Required: true})
	}
	add(personField{Name: "email", Type: "email", Value: invitation.Email, Autocomplete: "username", ReadOnly: true})
	rules := s.cfg.Signup.Rules()
	if !rules.NoPassword {
		add(personField{Name: "password", Type: "password", Autocomplete: "new-password", Required: true})
	}
	for _, name := range personFields {
		presence, asked := rules.Fields[name]
		if asked || !slices.Contains(identity.ProfileFields, name) {
			add(personField{Name: name, Type: "text", Autocomplete: autocompletes[name], Required: presence == signup.Required})
		}
	}
	return form
}

// postInvitation accepts an invitation with a new account.
func (s *Site) postInvitation(c *gin.Context) {
	localizer, ctx, token := s.pageLanguage(c), c.Request.Context(), c.PostForm("token")
	invitation, err := s.cfg.Signup.Invitation(ctx, token)
	if errors.Is(err, signup.ErrInvitationGone) {
		s.showText(c, localizer, http.StatusGone, "page.invitation.expired")
		return
	}
	if err != nil {
		s.showProblem(c, localizer, err)
		return
	}
	req := signup.Request{
		Invitation: token, Email: invitation.Email, Password: secret.String(c.PostForm("password")), SchoolName: c.PostForm("schoolName"),
		Person: enteredPerson(c), Locale: localizer.Tag(),
	}
	outcome, err := s.admit(ctx, c, admission.Applicant{EntryPoint: admission.InvitationPage, Request: req})
	p := problem.Of(err)
	switch {
	case err == nil && outcome.Status == catalog.SignupReady:
		s.show(c, localizer, http.StatusCreated, personPage{
			Title: localizer.Text("page.invitation.success_title", nil), Text: s.loginText(localizer, "page.invitation.success"), Link: s.loginLink(localizer),
		})
	case err == nil:
		s.showText(c, localizer, http.StatusAccepted, "page.invitation.going")
	case p.Code == problem.ValidationError.Code:
		p.Complete(ctx, c.Writer.Header())
		wrong := map[string]string{}
		for _, field := range p.Errors {
			wrong[field.Field] = field.Message
		}
		s.showInvitation(c, localizer, token, p.Status, wrong, "")
	case errors.Is(err, signup.ErrEmailExists):
		p.Complete(ctx, c.Writer.Header())
		s.showInvitation(c, localizer, token, p.Status, nil, localizer.Text("page.invitation.exists", nil))
	default:
		s.showProblem(c, localizer, err)
	}
}

// enteredPerson reads what a form says about the person.
func enteredPerson(c *gin.Context) catalog.Person {
	person := catalog.Person{GivenName: c.PostForm("givenName"), FamilyName: c.PostForm("familyName"), Profile: map[string]string{}}
	for _, name := range identity.ProfileFields {
		if value := c.PostForm(name); value != "" {
			person.Profile[name] = value
		}
	}
	return person
}

// loginText returns the text that tells people to log in: id where a link follows, and id with _elsewhere where the
// login page is not known.
func (s *Site) loginText(localizer messages.Localizer, id string) string {
	if s.cfg.AppURL == "" {
		id += "_elsewhere"
	}
	return localizer.Text(id, nil)
}

// loginLink links to the page where people log in, if it is known.
func (s *Site) loginLink(localizer messages.Localizer) *personLink {
	if s.cfg.AppURL == "" {
		return nil
	}
	return &personLink{URL: s.cfg.AppURL, Text: localizer.Text("page.login.link", nil)}
}
