package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"homeroom/catalog"
	"homeroom/hosted"
	"homeroom/identity"
	"homeroom/internal/problem"
	"homeroom/messages"
	"homeroom/signup"
)

// personFields are the fields that a person may be asked for besides the school's name.
var personFields = append([]string{"givenName", "familyName"}, identity.ProfileFields...)

// hostedRequest combines the fields of the provider, of the registration's start and of our form. Invalid names from
// the provider are left out: the person has not entered them here, and cannot correct them.
func (s *Site) hostedRequest(c *gin.Context, localizer messages.Localizer, state hosted.FlowState, person hosted.Person) signup.Request {
	entered := func(name, otherwise string) string {
		if text, ok := c.GetPostForm(name); ok {
			return strings.TrimSpace(text)
		}
		return otherwise
	}
	login := person.Identity
	req := signup.Request{
		Account: &login, Email: login.Email, SchoolName: entered("schoolName", state.SchoolName), Invitation: state.Invitation,
		Person: catalog.Person{
			GivenName: person.GivenName, FamilyName: person.FamilyName, Name: person.Name, Profile: map[string]string{},
		}, IdempotencyKey: idempotencyKey(state),
	}
	for _, locale := range append(strings.Fields(state.Locales), person.Locale, localizer.Tag()) {
		if req.Locale = messages.FirstLanguage(locale); req.Locale != "" {
			break
		}
	}
	_, err := req.Normalise(s.cfg.Signup.Rules())
	var invalid *signup.ValidationError
	if errors.As(err, &invalid) {
		for name, value := range map[string]*string{"givenName": &req.GivenName, "familyName": &req.FamilyName, "name": &req.Name} {
			if slices.ContainsFunc(invalid.Fields, func(f signup.FieldError) bool { return f.Field == name }) {
				*value = ""
			}
		}
	}
	req.GivenName, req.FamilyName = entered("givenName", req.GivenName), entered("familyName", req.FamilyName)
	for _, name := range identity.ProfileFields {
		if text := entered(name, ""); text != "" {
			req.Profile[name] = text
		}
	}
	return req
}

// userFixable reports whether the person can correct the error: whether it is about a field of our form.
func userFixable(invalid *signup.ValidationError) bool {
	return !slices.ContainsFunc(invalid.Fields, func(f signup.FieldError) bool {
		return f.Field != "schoolName" && !slices.Contains(personFields, f.Field)
	})
}

// showSignupForm shows the form that asks for the school's name, and for other required fields. The registration
// waits meanwhile.
func (s *Site) showSignupForm(c *gin.Context, localizer messages.Localizer, state hosted.FlowState, person hosted.Person,
	status int, invalid *signup.ValidationError,
) {
	if !s.saveState(c, localizer, state, person) {
		return
	}
	form := &personForm{Action: finishPath, Button: localizer.Text("page.hosted.button", nil)}
	form.Fields = append(form.Fields, personField{Name: "state", Type: "hidden", Value: state.ID})
	add := func(name, kind, autocomplete, value string, required bool) {
		field := personField{
			Name: name, Type: kind, Autocomplete: autocomplete, Value: value, Required: required, Label: localizer.Text("page.field."+name, nil),
		}
		if text, ok := c.GetPostForm(name); ok {
			field.Value = text
		}
		if invalid != nil {
			for _, wrong := range invalid.Fields {
				if wrong.Field == name {
					field.Problem = localizer.Format(wrong.Message)
				}
			}
		}
		form.Fields = append(form.Fields, field)
	}
	if state.Invitation == "" || invalid != nil && slices.ContainsFunc(invalid.Fields, func(f signup.FieldError) bool { return f.Field == "schoolName" }) {
		add("schoolName", "text", "organization", state.SchoolName, true)
	}
	known := map[string]string{"givenName": person.GivenName, "familyName": person.FamilyName}
	for _, name := range personFields {
		presence := s.cfg.Signup.Rules().Fields[name]
		if presence == signup.Required && known[name] == "" || presence == signup.Optional && slices.Contains(identity.ProfileFields, name) {
			add(name, "text", autocompletes[name], "", presence == signup.Required)
		}
	}
	s.showForm(c, localizer, status, personPage{
		Title: localizer.Text("page.hosted.school_title", nil),
		Text:  localizer.Text("page.hosted.school", map[string]any{"Email": person.Identity.Email}), Form: form,
	})
}

// autocompletes are the autocomplete attributes of fields.
var autocompletes = map[string]string{
	"givenName": "given-name", "familyName": "family-name", "company": "organization", "phone": "tel", "address": "street-address",
	"region": "address-level1", "locality": "address-level2", "postalCode": "postal-code",
}

// showRetry shows a button that tries again, with the fields that the person has entered already.
func (s *Site) showRetry(c *gin.Context, localizer messages.Localizer, state hosted.FlowState, person hosted.Person, err error) {
	if !s.saveState(c, localizer, state, person) {
		return
	}
	p := problem.Of(err)
	p.Complete(c.Request.Context(), c.Writer.Header())
	form := &personForm{Action: finishPath, Button: localizer.Text("page.hosted.again", nil)}
	form.Fields = append(form.Fields, personField{Name: "state", Type: "hidden", Value: state.ID})
	for _, name := range append([]string{"schoolName"}, personFields...) {
		if text, ok := c.GetPostForm(name); ok {
			form.Fields = append(form.Fields, personField{Name: name, Type: "hidden", Value: text})
		}
	}
	s.showForm(c, localizer, p.Status, personPage{
		Title: localizer.Text("page.hosted.later_title", nil), Text: localizer.Text("page.hosted.later", nil), Form: form,
	})
}

// showForm writes a page whose form leads to another site.
func (s *Site) showForm(c *gin.Context, localizer messages.Localizer, status int, page personPage) {
	s.write(c, localizer, status, page, strings.Replace(personPolicy, "form-action 'self'", "form-action "+s.cfg.Hosted.FormAction(), 1))
}

// ending is a page on which a registration ends.
type ending struct {
	kind *problem.Kind
	id   string
	// again adds a link that begins again.
	again bool
}

// showEnding writes the page of a registration that has failed. The cause is only logged.
func (s *Site) showEnding(c *gin.Context, localizer messages.Localizer, state hosted.FlowState, err error) {
	s.clearState(c, state)
	var option *hosted.OptionError
	var invalid *signup.ValidationError
	e, known := endingOf(err)
	switch {
	case known:
		p := problem.New(e.kind, messages.Message{}).WithCause(err)
		if wait := identity.RetryAfter(err); wait > 0 {
			p = p.WithRetryAfter(wait)
		}
		p.Complete(c.Request.Context(), c.Writer.Header())
		page := personPage{Title: localizer.Text(e.id+"_title", nil), Text: localizer.Text(e.id, nil)}
		if e.id == "page.refused" || e.id == "page.closed" {
			page.Title, page.Text = localizer.Text(e.id+".title", nil), localizer.Text(e.id+".text", nil)
		}
		if e.again {
			page.Link = s.beginLink(localizer, state)
		} else if e.kind == problem.EmailExists || e.kind == problem.SchoolExists {
			page.Link = s.loginLink(localizer)
		}
		s.show(c, localizer, e.kind.Status, page)
	case errors.As(err, &option), errors.Is(err, hosted.ErrReturnURL):
		part := "return_to"
		if option != nil {
			part = option.Option
		}
		problem.New(problem.MalformedRequest, messages.Message{}).WithCause(err).Complete(c.Request.Context(), c.Writer.Header())
		s.show(c, localizer, http.StatusBadRequest, personPage{
			Title: localizer.Text("page.hosted.link_title", nil), Text: localizer.Text("page.hosted.link", map[string]any{"Part": part}),
		})
	case errors.As(err, &invalid):
		s.showInvalid(c, localizer, state, invalid)
	default:
		s.showProblem(c, localizer, err)
	}
}

// showInvalid shows an error that no form could correct: the address may not sign up, or the link names no school.
func (s *Site) showInvalid(c *gin.Context, localizer messages.Localizer, state hosted.FlowState, invalid *signup.ValidationError) {
	p := problem.Of(invalid)
	p.Complete(c.Request.Context(), c.Writer.Header())
	page := personPage{Title: localizer.Text("page.hosted.unfit_title", nil), Text: p.Errors[0].Message}
	if state.ID == "" { // nothing was begun
		page.Title = localizer.Text("page.hosted.link_title", nil)
	}
	s.show(c, localizer, p.Status, page)
}

// endingOf maps errors to pages.
func endingOf(err error) (ending, bool) {
	var unavailable *identity.Unavailable
	var misconfigured *identity.Misconfigured
	switch {
	case errors.Is(err, hosted.ErrAccessDenied):
		return ending{problem.Forbidden, "page.refused", true}, true
	case errors.Is(err, hosted.ErrLoginRequired):
		return ending{problem.Unauthenticated, "page.hosted.asked", true}, true
	case errors.Is(err, hosted.ErrExpired), errors.Is(err, hosted.ErrCodeRejected):
		return ending{problem.MalformedRequest, "page.hosted.expired", true}, true
	case errors.Is(err, hosted.ErrStateMismatch):
		return ending{problem.MalformedRequest, "page.hosted.strange", true}, true
	case errors.Is(err, hosted.ErrNoEmail):
		return ending{problem.ValidationError, "page.hosted.address", true}, true
	case errors.Is(err, hosted.ErrUnverified), errors.As(err, &unavailable), errors.As(err, &misconfigured),
		errors.Is(err, signup.ErrCannotLink):
		return ending{problem.IdentityUnavailable, "page.hosted.later", true}, true
	case errors.Is(err, signup.ErrEmailExists):
		return ending{problem.EmailExists, "page.hosted.exists", false}, true
	case errors.Is(err, signup.ErrHasSchool):
		return ending{problem.SchoolExists, "page.hosted.has_school", false}, true
	case errors.Is(err, signup.ErrClosed):
		return ending{problem.SignupClosed, "page.closed", false}, true
	case errors.Is(err, signup.ErrInvitationRequired):
		return ending{problem.InvitationRequired, "page.closed", false}, true
	case errors.Is(err, signup.ErrLinkGone):
		return ending{problem.LinkGone, "page.activation.expired", false}, true
	case errors.Is(err, signup.ErrOtherAccount):
		return ending{problem.Forbidden, "page.hosted.other_login", false}, true
	case errors.Is(err, signup.ErrInvitationGone):
		return ending{problem.InvitationGone, "page.invitation.expired", false}, true
	}
	return ending{}, false
}

// beginLink begins again with the valid fields.
func (s *Site) beginLink(localizer messages.Localizer, state hosted.FlowState) *personLink {
	query := url.Values{}
	for name, value := range map[string]string{
		"school_name": state.SchoolName, "return_to": state.ReturnTo, "ui_locales": state.Locales, "invitation": state.Invitation,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	address := registrationPath
	if s.cfg.Hosted != nil {
		address = registerPath
	}
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	return &personLink{URL: address, Text: localizer.Text("page.hosted.begin", nil)}
}
