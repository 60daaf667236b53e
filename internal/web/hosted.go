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
	standingPath = "/register/status/"
)

// registerHosted adds the way to sign up on the identity provider's own pages, where one is configured.
func (s *site) registerHosted(router gin.IRouter) {
	if s.cfg.Hosted == nil {
		return
	}
	for _, path := range []string{registerPath, callbackPath} { // GET begins or ends something there, which HEAD must not
		router.HEAD(path, func(c *gin.Context) { c.Status(http.StatusOK) })
	}
	router.GET(registerPath, s.startHosted)
	router.GET(callbackPath, s.finishHosted)
	router.POST(finishPath, s.ownForm, limitForm, s.goOnHosted)
	router.GET(standingPath+":id", s.showStanding)
	router.POST(standingPath+":id", limitForm, s.resendOnPage)
}

// ownForm refuses forms that another site has sent. What is in the cookie would go on only with its own registration; the
// person is spared that somebody else names their school.
func (s *site) ownForm(c *gin.Context) {
	if err := http.NewCrossOriginProtection().Check(c.Request); err != nil {
		s.endHosted(c, s.pageLanguage(c), hosted.FlowState{}, errors.Join(hosted.ErrStateMismatch, err))
		c.Abort()
	}
}

// startHosted sends a browser to the provider. What would stop the sign-up in the end is said now, and not to somebody who
// has just registered.
func (s *site) startHosted(c *gin.Context) {
	ctx, r := c.Request.Context(), c.Request
	says := s.pageLanguage(c)
	if err := s.take(c, "register", s.cfg.HostedRate); err != nil {
		s.showProblem(c, says, err)
		return
	}
	options := hosted.Options{
		SchoolName: strings.TrimSpace(c.Query("school_name")), ReturnTo: c.Query("return_to"), LoginHint: c.Query("login_hint"),
		Locales: strings.Join(strings.Fields(c.Query("ui_locales")), " "), Prompt: c.Query("prompt"), Connection: c.Query("connection"),
		Organization: c.Query("organization"), Invitation: c.Query("invitation"), Confirm: c.Query("confirm"),
	}
	if err := s.foresee(ctx, &options); err != nil {
		s.endHosted(c, says, hosted.FlowState{}, err)
		return
	}
	started, err := s.cfg.Hosted.Start(r, options)
	if err != nil {
		s.endHosted(c, says, hosted.FlowState{}, err)
		return
	}
	for _, cookie := range started.Cookies {
		http.SetCookie(c.Writer, cookie)
	}
	c.Redirect(http.StatusFound, started.URL)
}

// foresee looks whether the school's name and the invitation are good, or the link that is to be confirmed. Whoever was invited
// signs up with the address that was.
func (s *site) foresee(ctx context.Context, options *hosted.Options) error {
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

// finishHosted takes what the provider has sent the browser back with, and signs the person up.
func (s *site) finishHosted(c *gin.Context) {
	if err := s.take(c, "callback", s.cfg.HostedRate); err != nil {
		s.showProblem(c, s.pageLanguage(c), err)
		return
	}
	trip, person, err := s.cfg.Hosted.Finish(c.Request)
	says := s.pageLanguage(c, trip.Locales)
	if errors.Is(err, hosted.ErrLoginRequired) && trip.Silent && trip.ReturnTo != "" {
		s.drop(c, trip)
		c.Redirect(http.StatusSeeOther, hosted.WithQuery(trip.ReturnTo, map[string]string{"error": "login_required"}))
		return
	}
	if errors.Is(err, hosted.ErrCodeRejected) && s.leadOn(c, trip) {
		return
	}
	if err != nil {
		s.endHosted(c, says, trip, err)
		return
	}
	s.signUpHosted(c, says, trip, person)
}

// goOnHosted takes the form that asks for what the provider could not tell, or that tries again.
func (s *site) goOnHosted(c *gin.Context) {
	trip, person, err := s.cfg.Hosted.LoadState(c.Request, c.PostForm("state"))
	says := s.pageLanguage(c, trip.Locales)
	if err != nil {
		s.endHosted(c, says, trip, err)
		return
	}
	s.signUpHosted(c, says, trip, person)
}

// signUpHosted runs the saga for a person whom the provider has named. The registration's id is its idempotency key: the
// page may be loaded again, and an answer that is lost is given again. A browser that goes stops nothing: the person's next
// request finds what came of this one.
func (s *site) signUpHosted(c *gin.Context, says messages.Localizer, trip hosted.FlowState, person hosted.Person) {
	if trip.SignupID != "" {
		s.leadBack(c, says, trip)
		return
	}
	if trip.Confirm != "" {
		s.confirmHosted(c, says, trip, person)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), s.cfg.Timeout)
	defer cancel()
	req := s.hostedRequest(c, says, trip, person)
	if req.SchoolName == "" && req.Invitation == "" {
		s.askForRest(c, says, trip, person, http.StatusOK, nil)
		return
	}
	outcome, err := s.admit(ctx, c, admission.Applicant{Way: admission.Hosted, Request: req})
	var invalid *signup.ValidationError
	switch {
	case err == nil:
		s.sendOn(c, trip, outcome.SignupID, outcome.Status)
	case errors.Is(err, signup.ErrInProgress) && s.leadOn(c, trip): // by another request of this person
	case errors.As(err, &invalid) && askable(invalid):
		problem.Of(err).Note(ctx, c.Writer.Header())
		s.askForRest(c, says, trip, person, http.StatusUnprocessableEntity, invalid)
	case errors.Is(err, signup.ErrInProgress), problem.Of(err).Status == http.StatusServiceUnavailable:
		s.offerAgain(c, says, trip, person, err)
	default:
		s.endHosted(c, says, trip, err)
	}
}

// sendOn tells the application that began how the sign-up stands, or the person where there is none. The same page
// leads there again for a while.
func (s *site) sendOn(c *gin.Context, trip hosted.FlowState, signupID uuid.UUID, status catalog.Status) {
	if !s.finished(c, s.pageLanguage(c, trip.Locales), trip, signupID) {
		return
	}
	id := signupID.String()
	if trip.ReturnTo == "" {
		c.Redirect(http.StatusSeeOther, standing(id, trip.Locales))
		return
	}
	c.Redirect(http.StatusSeeOther, hosted.WithQuery(trip.ReturnTo, map[string]string{"signup_id": id, "status": string(status)}))
}

// finished has the browser remember what came of a registration. It answers when that fails.
func (s *site) finished(c *gin.Context, says messages.Localizer, trip hosted.FlowState, signupID uuid.UUID) bool {
	cookie, err := s.cfg.Hosted.SaveResult(trip, signupID.String())
	if err != nil {
		s.showProblem(c, says, err)
		return false
	}
	http.SetCookie(c.Writer, cookie)
	return true
}

// standing is the address of the page that shows how a sign-up stands.
func standing(id, locales string) string {
	if locales == "" {
		return standingPath + id
	}
	return standingPath + id + "?" + url.Values{"ui_locales": {locales}}.Encode()
}

func (s *site) drop(c *gin.Context, trip hosted.FlowState) {
	if trip.ID != "" {
		http.SetCookie(c.Writer, s.cfg.Hosted.ClearState(trip))
	}
}

// hold keeps a person whom the provider has named in the browser's cookie. It answers when that fails.
func (s *site) hold(c *gin.Context, says messages.Localizer, trip hosted.FlowState, person hosted.Person) bool {
	cookie, err := s.cfg.Hosted.SaveState(trip, person)
	if err != nil {
		s.showProblem(c, says, err)
		return false
	}
	http.SetCookie(c.Writer, cookie)
	return true
}

// resendOnPage has the mail sent again that confirms a sign-up, and shows how that stands.
func (s *site) resendOnPage(c *gin.Context) {
	id, err := signupID(c.Param("id"))
	if err == nil {
		err = s.cfg.Signup.RemindVerification(c.Request.Context(), id)
	}
	if err != nil && !errors.Is(err, signup.ErrNotWaiting) {
		s.showProblem(c, s.pageLanguage(c), err)
		return
	}
	c.Redirect(http.StatusSeeOther, standing(id.String(), c.Query("ui_locales")))
}

// showStanding is where a person without an application sees the school come into being. Knowing the id is the permission.
func (s *site) showStanding(c *gin.Context) {
	says := s.pageLanguage(c)
	view, err := s.viewSignup(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.showProblem(c, says, err)
		return
	}
	switch view.Status {
	case catalog.SignupReady:
		s.show(c, says, http.StatusOK, personPage{
			Title: says.Text("page.hosted.ready_title", map[string]any{"SchoolName": view.School.Name}),
			Text:  s.loginText(says, "page.hosted.ready"), Link: s.loginLink(says),
		})
	case catalog.AwaitingVerification:
		s.show(c, says, http.StatusOK, personPage{
			Title: says.Text("page.hosted.confirm_title", nil), Text: says.Text("page.hosted.confirm", nil),
			Form: &personForm{Action: standing(view.SignupID.String(), c.Query("ui_locales")), Button: says.Text("page.hosted.resend", nil)},
		})
	case catalog.AwaitingApproval:
		s.show(c, says, http.StatusOK, personPage{Title: says.Text("page.waiting.title", nil), Text: says.Text("page.waiting.text", nil)})
	case catalog.Failed, catalog.Expired:
		s.show(c, says, http.StatusOK, personPage{
			Title: says.Text("page.hosted.failed_title", nil), Text: says.Text("page.hosted.failed", nil), Link: beginLink(says, hosted.FlowState{}),
		})
	default:
		s.show(c, says, http.StatusOK, personPage{
			Title: says.Text("page.hosted.making_title", nil), Text: says.Text("page.hosted.making", nil), Refresh: 3,
			Link: &personLink{URL: standing(view.SignupID.String(), c.Query("ui_locales")), Text: says.Text("page.hosted.again", nil)},
		})
	}
}
