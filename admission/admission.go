// Package admission decides whether a sign-up may begin: it counts it against the allowance of the caller's address and the
// budget of the whole service, and asks for a CAPTCHA where one is needed. Every way to sign up goes through it, in one order.
package admission

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/captcha"
	"homeroom/messages"
	"homeroom/signup"
)

// EntryPoint is a way to sign up. It defines what is checked before such a sign-up begins.
type EntryPoint struct {
	// counted says that the sign-up is counted against the allowance of the caller's address.
	counted bool
	// captcha says that a CAPTCHA must be solved, if one is configured.
	captcha bool
}

// The ways to sign up.
var (
	// Form is a request without an account, which any program can send: POST /users and /api/auth/sign-up, also with an
	// invitation.
	Form = EntryPoint{counted: true, captcha: true}
	// Authenticated is a request with an access token: POST /schools and /invitations/accept. It needs no CAPTCHA,
	// since the identity provider has authenticated the person, and has its own limits for each account.
	Authenticated = EntryPoint{counted: true}
	// InvitationPage is the form of our own page for an invitation. It needs no CAPTCHA: the page's URL contains the
	// secret of the mail, and an invitation is accepted once.
	InvitationPage = EntryPoint{counted: true}
	// Hosted is a registration on the identity provider's pages, which have their own protection against bots. It was
	// counted when it began, by its own limit.
	Hosted = EntryPoint{}
)

// Config configures an Admission.
type Config struct {
	// Signup begins sign-ups. Required.
	Signup *signup.Service
	// Catalog stores the counts. Required.
	Catalog *catalog.Store
	// Rate is how often one client address may sign up. Defaults to no limit.
	Rate *catalog.Allowance
	// Budget is how many sign-ups the whole service accepts. Defaults to no limit.
	Budget Budget
	// Captcha, if not nil, verifies the CAPTCHA of the entry points that need one. Defaults to none.
	Captcha *captcha.Verifier
	// Logger logs allowances that could not be returned. Defaults to slog.Default().
	Logger *slog.Logger
}

// Admission admits sign-ups. It is safe for use by many goroutines.
type Admission struct{ cfg Config }

// New returns an Admission.
func New(cfg Config) (*Admission, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	switch {
	case cfg.Signup == nil || cfg.Catalog == nil:
		return nil, errors.New("an admission needs sign-ups and a catalog")
	case cfg.Rate != nil && (cfg.Rate.Count < 1 || cfg.Rate.Window < time.Second):
		return nil, errors.New("the rate of sign-ups must allow at least one, in a second or more")
	case cfg.Budget.Minute < 0 || cfg.Budget.Day < 0:
		return nil, errors.New("the budget of sign-ups must not be negative")
	}
	return &Admission{cfg}, nil
}

// Applicant is a person who signs up.
type Applicant struct {
	// EntryPoint is the way in which they sign up.
	EntryPoint EntryPoint
	// Caller is where the request comes from.
	Caller Caller
	// Request is their request.
	Request signup.Request
	// Rules are the rules for the request. Defaults to the service's rules.
	Rules *signup.Rules
	// Unread are the fields that could not be read. They are reported together with the other invalid fields.
	Unread []signup.FieldError
	// CaptchaToken is the token of the CAPTCHA's widget; may be empty.
	CaptchaToken string
	// FindAccount, if not nil, finds the account of the authenticated caller. All sign-ups share the identity
	// provider's rate limit, so it is called only after everything else is valid and the address is counted.
	FindAccount func(context.Context) (identity.User, error)
}

// Begin begins a sign-up. Cheap checks come first: an invalid request costs nothing; a valid one is counted against the
// address's allowance; then the CAPTCHA's provider, or the identity provider for an account, is called; the shared
// budget is counted last. A repetition, recognised by its idempotency key, costs nothing, and a refused request does
// not use the budget.
//
// The grant is what is left of the address's allowance; nil if it was not counted. Besides the errors of
// [signup.Service.Begin] it fails with *[signup.RateLimited] and *[signup.BudgetExceeded]. It refuses whatever it
// cannot check: nobody signs up without the catalog or the CAPTCHA's provider.
func (a *Admission) Begin(ctx context.Context, applicant Applicant) (signup.Outcome, *Grant, error) {
	repeats, err := a.validate(ctx, &applicant)
	if err != nil {
		return signup.Outcome{}, nil, err
	}
	var charged charges
	if !repeats {
		if err := a.charge(ctx, &applicant, &charged); err != nil {
			return signup.Outcome{}, charged.grant, err
		}
	}
	outcome, err := a.cfg.Signup.Begin(ctx, applicant.Request)
	switch {
	case outcome.Repeated:
		a.refund(ctx, slices.Concat(charged.address, charged.budget))
		if len(charged.address) > 0 {
			charged.grant.Remaining++
		}
	case signup.IsRefusal(err):
		a.refund(ctx, charged.budget) // nothing was created; after other failures something may be
	}
	return outcome, charged.grant, err
}

// charges are what a sign-up has used of the limits, to be returned if it fails.
type charges struct {
	address, budget []catalog.Limit
	// grant is what is left of the address's allowance; nil if it is not counted.
	grant *Grant
}

// charge counts a sign-up, and calls the CAPTCHA's or the identity provider between the address's allowance and the
// budget. If neither is needed, both limits are taken in one statement.
func (a *Admission) charge(ctx context.Context, applicant *Applicant, charged *charges) error {
	var address []catalog.Limit
	if applicant.EntryPoint.counted && a.cfg.Rate != nil {
		address = limitsOf(applicant.Caller, "signup", *a.cfg.Rate)
	}
	key, budget := applicant.Request.IdempotencyKey, a.cfg.Budget.limits()
	if !a.needsCaptcha(*applicant) && applicant.FindAccount == nil {
		grants, known, err := a.take(ctx, key, address, budget)
		charged.grant = grantOf("signup", a.cfg.Rate, address, grants)
		if err == nil && !known {
			charged.address, charged.budget = address, budget
		}
		return err
	}
	grants, known, err := a.take(ctx, key, address, nil)
	charged.grant = grantOf("signup", a.cfg.Rate, address, grants)
	if err == nil && !known {
		charged.address = address
	}
	if err == nil {
		err = a.identify(ctx, applicant)
	}
	if err != nil || known {
		return err
	}
	_, known, err = a.take(ctx, key, nil, budget)
	if err == nil && !known {
		charged.budget = budget
	}
	return err
}

// validate normalises the request, or lists every invalid field. If a CAPTCHA is needed, it reports whether the request
// repeats a known sign-up: its token is used up, and no other is required.
func (a *Admission) validate(ctx context.Context, applicant *Applicant) (repeats bool, err error) {
	wrong := slices.Clone(applicant.Unread)
	if a.needsCaptcha(*applicant) {
		if repeats, err = a.known(ctx, applicant.Request.IdempotencyKey); err != nil {
			return false, err
		}
		if !repeats && applicant.CaptchaToken == "" {
			wrong = append(wrong, signup.FieldError{Field: CaptchaField, Code: "required", Message: messages.ID("field.captcha_needed")})
		}
	}
	request := applicant.Request
	if applicant.FindAccount != nil {
		request.Account = &identity.User{} // with its e-mail, which is not known yet
	}
	normal, err := request.Normalise(a.rules(*applicant))
	var invalid *signup.ValidationError
	if err != nil && !errors.As(err, &invalid) {
		return false, err
	}
	if invalid != nil {
		for _, field := range invalid.Fields {
			unread := func(other signup.FieldError) bool { return other.Field == field.Field }
			if !slices.ContainsFunc(applicant.Unread, unread) && (field.Field != "email" || applicant.FindAccount == nil) {
				wrong = append(wrong, field)
			}
		}
	}
	if len(wrong) > 0 {
		return false, &signup.ValidationError{Fields: wrong}
	}
	if invalid == nil {
		applicant.Request = normal
	}
	return repeats, nil
}

func (a *Admission) rules(applicant Applicant) signup.Rules {
	if applicant.Rules != nil {
		return *applicant.Rules
	}
	return a.cfg.Signup.Rules()
}

// identify calls the provider of the CAPTCHA, or the identity provider.
func (a *Admission) identify(ctx context.Context, applicant *Applicant) error {
	if a.needsCaptcha(*applicant) {
		return a.checkCaptcha(ctx, *applicant)
	}
	login, err := applicant.FindAccount(ctx)
	if err != nil {
		return err
	}
	applicant.Request.Account, applicant.Request.Email = &login, login.Email
	applicant.Request, err = applicant.Request.Normalise(a.rules(*applicant))
	return err
}
