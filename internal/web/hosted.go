package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"homeroom/admission"
	"homeroom/catalog"
	"homeroom/hosted"
	"homeroom/internal/problem"
	"homeroom/messages"
	"homeroom/signup"
)

const (
	registerPath = "/register"
	callbackPath = "/callback"
	finishPath   = "/register/finish"
	statusPath   = "/register/status/"
)

// registerHosted adds the sign-up on the identity provider's own pages, where one is configured.
func (s *Site) registerHosted(router gin.IRouter) {
	if s.cfg.Hosted == nil {
		return
	}
	for _, path := range []string{registerPath, callbackPath} { // GET has an effect there, which HEAD must not have
		router.HEAD(path, func(c *gin.Context) { c.Status(http.StatusOK) })
	}
	router.GET(registerPath, s.getRegister)
	router.GET(callbackPath, s.getCallback)
	router.POST(finishPath, s.refuseOtherOrigins, limitForm, s.postFinish)
}

// refuseOtherOrigins refuses forms from other sites. Such a form could only continue the registration of the cookie,
// but it could choose the school's name.
func (s *Site) refuseOtherOrigins(c *gin.Context) {
	if err := http.NewCrossOriginProtection().Check(c.Request); err != nil {
		s.showEnding(c, s.pageLanguage(c), hosted.FlowState{}, errors.Join(hosted.ErrStateMismatch, err))
		c.Abort()
	}
}

// getRegister redirects a browser to the provider. An error that would stop the sign-up later is shown now, and not
// after the person has registered.
func (s *Site) getRegister(c *gin.Context) {
	ctx, r := c.Request.Context(), c.Request
	localizer := s.pageLanguage(c)
	if err := s.take(c, "register", s.cfg.HostedRate); err != nil {
		s.showProblem(c, localizer, err)
		return
	}
	options := hosted.Options{
		SchoolName: strings.TrimSpace(c.Query("school_name")), ReturnTo: c.Query("return_to"), LoginHint: c.Query("login_hint"),
		Locales: strings.Join(strings.Fields(c.Query("ui_locales")), " "), Prompt: c.Query("prompt"), Connection: c.Query("connection"),
		Organization: c.Query("organization"), Invitation: c.Query("invitation"), Confirm: c.Query("confirm"),
	}
	if err := s.checkOptions(ctx, &options); err != nil {
		s.showEnding(c, localizer, hosted.FlowState{}, err)
		return
	}
	started, err := s.cfg.Hosted.Start(r, options)
	if err != nil {
		s.showEnding(c, localizer, hosted.FlowState{}, err)
		return
	}
	for _, cookie := range started.Cookies {
		http.SetCookie(c.Writer, cookie)
	}
	c.Redirect(http.StatusFound, started.URL)
}

// checkOptions checks the school's name and the invitation, or the link to confirm. An invited person signs up with
// the invited address.
func (s *Site) checkOptions(ctx context.Context, options *hosted.Options) error {
	if options.Confirm != "" {
		row, err := s.cfg.Signup.InspectActivation(ctx, options.Confirm)
		options.LoginHint = row.Email
		return err
	}
	if options.SchoolName != "" {
		if _, _, err := s.cfg.Signup.Available(ctx, options.SchoolName); err != nil {
			return err
		}
	}
	if options.Invitation == "" || options.Organization != "" {
		return nil
	}
	invitation, err := s.cfg.Signup.Invitation(ctx, options.Invitation)
	if err == nil && options.LoginHint == "" {
		options.LoginHint = invitation.Email
	}
	return err
}

// getCallback reads the provider's answer, and signs the person up.
func (s *Site) getCallback(c *gin.Context) {
	if err := s.take(c, "callback", s.cfg.HostedRate); err != nil {
		s.showProblem(c, s.pageLanguage(c), err)
		return
	}
	state, person, err := s.cfg.Hosted.Finish(c.Request)
	localizer := s.pageLanguage(c, state.Locales)
	if errors.Is(err, hosted.ErrLoginRequired) && state.Silent && state.ReturnTo != "" {
		s.clearState(c, state)
		c.Redirect(http.StatusSeeOther, hosted.WithQuery(state.ReturnTo, map[string]string{"error": "login_required"}))
		return
	}
	if errors.Is(err, hosted.ErrCodeRejected) && s.followSignup(c, state) {
		return
	}
	if err != nil {
		s.showEnding(c, localizer, state, err)
		return
	}
	s.signUpHosted(c, localizer, state, person)
}

// postFinish reads the form with the fields that the provider did not have, or the form that tries again.
func (s *Site) postFinish(c *gin.Context) {
	state, person, err := s.cfg.Hosted.LoadState(c.Request, c.PostForm("state"))
	localizer := s.pageLanguage(c, state.Locales)
	if err != nil {
		s.showEnding(c, localizer, state, err)
		return
	}
	s.signUpHosted(c, localizer, state, person)
}

// signUpHosted runs the saga for a person whom the provider has identified. The registration's id is its idempotency
// key, so that a reload, or a repetition after a lost answer, gets the same result. The sign-up goes on when the
// browser disconnects, and the person's next request finds its result.
func (s *Site) signUpHosted(c *gin.Context, localizer messages.Localizer, state hosted.FlowState, person hosted.Person) {
	if state.SignupID != "" {
		s.followFinished(c, localizer, state)
		return
	}
	if state.Confirm != "" {
		s.confirmHosted(c, localizer, state, person)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), signupTimeout)
	defer cancel()
	req := s.hostedRequest(c, localizer, state, person)
	if req.SchoolName == "" && req.Invitation == "" {
		s.showSignupForm(c, localizer, state, person, http.StatusOK, nil)
		return
	}
	outcome, err := s.admit(ctx, c, admission.Applicant{EntryPoint: admission.Hosted, Request: req})
	var invalid *signup.ValidationError
	switch {
	case err == nil:
		s.redirectWithResult(c, state, outcome.SignupID, outcome.Status)
	case errors.Is(err, signup.ErrInProgress) && s.followSignup(c, state): // by another request of this person
	case errors.As(err, &invalid) && userFixable(invalid):
		problem.Of(err).Complete(ctx, c.Writer.Header())
		s.showSignupForm(c, localizer, state, person, http.StatusUnprocessableEntity, invalid)
	case errors.Is(err, signup.ErrInProgress), problem.Of(err).Status == http.StatusServiceUnavailable:
		s.showRetry(c, localizer, state, person, err)
	default:
		s.showEnding(c, localizer, state, err)
	}
}

// redirectWithResult redirects to the application with the status of the sign-up, or to the status page without an
// application. A reload redirects there again for a while.
func (s *Site) redirectWithResult(c *gin.Context, state hosted.FlowState, signupID uuid.UUID, status catalog.Status) {
	if !s.saveResult(c, s.pageLanguage(c, state.Locales), state, signupID) {
		return
	}
	id := signupID.String()
	if state.ReturnTo == "" {
		c.Redirect(http.StatusSeeOther, statusURL(id, state.Locales))
		return
	}
	c.Redirect(http.StatusSeeOther, hosted.WithQuery(state.ReturnTo, map[string]string{"signup_id": id, "status": string(status)}))
}

// saveResult stores the result of a registration in the browser. It answers when that fails.
func (s *Site) saveResult(c *gin.Context, localizer messages.Localizer, state hosted.FlowState, signupID uuid.UUID) bool {
	cookie, err := s.cfg.Hosted.SaveResult(state, signupID.String())
	if err != nil {
		s.showProblem(c, localizer, err)
		return false
	}
	http.SetCookie(c.Writer, cookie)
	return true
}

// statusURL is the address of the page that shows the status of a sign-up.
func statusURL(id, locales string) string {
	if locales == "" {
		return statusPath + id
	}
	return statusPath + id + "?" + url.Values{"ui_locales": {locales}}.Encode()
}

func (s *Site) clearState(c *gin.Context, state hosted.FlowState) {
	if state.ID != "" {
		http.SetCookie(c.Writer, s.cfg.Hosted.ClearState(state))
	}
}

// saveState stores a person whom the provider has identified in the browser's cookie. It answers when that fails.
func (s *Site) saveState(c *gin.Context, localizer messages.Localizer, state hosted.FlowState, person hosted.Person) bool {
	cookie, err := s.cfg.Hosted.SaveState(state, person)
	if err != nil {
		s.showProblem(c, localizer, err)
		return false
	}
	http.SetCookie(c.Writer, cookie)
	return true
}

// postResend sends the confirmation mail again and redirects to the status page.
func (s *Site) postResend(c *gin.Context) {
	id, err := catalog.ParseID(c.Param("id"))
	if err == nil {
		err = s.cfg.Signup.RemindVerification(c.Request.Context(), id)
	}
	if err != nil && !errors.Is(err, signup.ErrNotWaiting) {
		s.showProblem(c, s.pageLanguage(c), err)
		return
	}
	c.Redirect(http.StatusSeeOther, statusURL(id.String(), c.Query("ui_locales")))
}

// getStatus shows the status of a sign-up to a person who came without an application. The id is the permission.
func (s *Site) getStatus(c *gin.Context) {
	localizer := s.pageLanguage(c)
	view, err := s.viewSignup(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.showProblem(c, localizer, err)
		return
	}
	switch view.Status {
	case catalog.SignupReady:
		s.show(c, localizer, http.StatusOK, personPage{
			Title: localizer.Text("page.hosted.ready_title", map[string]any{"SchoolName": view.School.Name}),
			Text:  s.loginText(localizer, "page.hosted.ready"), Link: s.loginLink(localizer),
		})
	case catalog.AwaitingVerification:
		s.show(c, localizer, http.StatusOK, personPage{
			Title: localizer.Text("page.hosted.confirm_title", nil), Text: localizer.Text("page.hosted.confirm", nil),
			Form: &personForm{Action: statusURL(view.SignupID.String(), c.Query("ui_locales")), Button: localizer.Text("page.hosted.resend", nil)},
		})
	case catalog.AwaitingApproval:
		s.show(c, localizer, http.StatusOK, personPage{Title: localizer.Text("page.waiting.title", nil), Text: localizer.Text("page.waiting.text", nil)})
	case catalog.Failed, catalog.Expired:
		s.show(c, localizer, http.StatusOK, personPage{
			Title: localizer.Text("page.hosted.failed_title", nil), Text: localizer.Text("page.hosted.failed", nil), Link: s.beginLink(localizer, hosted.FlowState{}),
		})
	default:
		s.show(c, localizer, http.StatusOK, personPage{
			Title: localizer.Text("page.hosted.making_title", nil), Text: localizer.Text("page.hosted.making", nil), Refresh: 3,
			Link: &personLink{URL: statusURL(view.SignupID.String(), c.Query("ui_locales")), Text: localizer.Text("page.hosted.again", nil)},
		})
	}
}
