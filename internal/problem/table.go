package problem

import (
	"errors"
	"time"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/identity"
	"homeroom/lifecycle"
	"homeroom/messages"
	"homeroom/signup"
	"homeroom/tenant"
)

// Of is the table from errors to problems. What it does not know is an internal error, with a safe sentence.
func Of(err error) *Problem {
	var (
		problem     *Problem
		invalid     *signup.ValidationError
		rejected    *identity.Rejected
		unavailable *signup.Unavailable
		unreachable *tenant.UnreachableError
	)
	if p := signupRefusal(err); p != nil {
		return p
	}
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &invalid):
		return Invalid(fieldsOf(invalid.Fields)...).WithCause(invalid.Cause)
	case errors.As(err, &rejected):
		return Invalid(Field{rejected.Field, rejected.Code, rejected.Message}).WithCause(err)
	case errors.Is(err, fleet.ErrMixed):
		return Invalid(Field{Field: "to", Code: "mixed", Message: messages.ID("field.versions_mixed")})
	case catalog.ChangedFiles(err) != nil:
		return New(OtherSchema, messages.ID("field.changed_migrations")).WithCause(err)
	case errors.Is(err, catalog.ErrBadCursor):
		return Invalid(Field{Field: "cursor", Code: "invalid_format", Message: messages.ID("field.cursor")})
	case errors.Is(err, catalog.ErrNotFound):
		return New(NotFound, messages.ID("detail.not_found"))
	case errors.As(err, &unavailable):
		return unavailableProblem(unavailable)
	case errors.As(err, &unreachable):
		return New(Busy, messages.ID("detail.school_unreachable")).WithRetryAfter(5 * time.Second).WithCause(err)
	case catalog.Unavailable(err):
		return New(CatalogUnavailable, messages.ID("detail.catalog_unreachable")).WithRetryAfter(2 * time.Second).WithCause(err)
	}
	return New(Internal, messages.ID("detail.internal")).WithCause(err)
}

// signupRefusal is the part of the table for the errors that sign-ups name.
func signupRefusal(err error) *Problem {
	switch {
	case errors.Is(err, signup.ErrEmailExists):
		return New(EmailExists, messages.ID("detail.email_exists"))
	case errors.Is(err, signup.ErrHasSchool):
		return New(SchoolExists, messages.ID("detail.has_school"))
	case errors.Is(err, signup.ErrNotAPerson):
		return New(Forbidden, messages.ID("detail.no_person"))
	case errors.Is(err, signup.ErrClosed):
		return New(SignupClosed, messages.ID("detail.closed"))
	case errors.Is(err, signup.ErrInvitationRequired):
		return New(InvitationRequired, messages.ID("detail.invitation_needed"))
	case errors.Is(err, signup.ErrInvitationGone):
		return New(InvitationGone, messages.ID("detail.invitation_gone"))
	case errors.Is(err, signup.ErrLinkGone):
		return New(LinkGone, messages.ID("detail.link_gone"))
	case errors.Is(err, signup.ErrAccountRequired):
		return New(Forbidden, messages.ID("detail.login_needed"))
	case errors.Is(err, signup.ErrOtherAccount):
		return New(Forbidden, messages.ID("detail.other_login"))
	case errors.Is(err, signup.ErrMayNotInvite):
		return New(Forbidden, messages.ID("detail.may_not_invite"))
	case errors.Is(err, signup.ErrEmailUnconfirmed):
		return New(Forbidden, messages.ID("detail.confirm_first"))
	case errors.Is(err, signup.ErrNotWaiting):
		return New(NotWaiting, messages.ID("detail.not_waiting"))
	case errors.Is(err, signup.ErrInProgress):
		return New(InProgress, messages.ID("detail.in_progress")).WithRetryAfter(time.Second)
	case errors.Is(err, signup.ErrKeyReused):
		return New(IdempotencyMismatch, messages.ID("detail.key_reused"))
	case errors.Is(err, signup.ErrNeedsOperator):
		return New(Internal, messages.ID("detail.parked")).WithCause(err)
	case errors.Is(err, signup.ErrNotProvisioned), errors.Is(err, lifecycle.ErrNotProvisioned):
		return New(InProgress, messages.ID("detail.not_provisioned")).WithRetryAfter(5 * time.Second)
	case errors.Is(err, signup.ErrOtherSchema):
		return New(OtherSchema, messages.ID("field.other_schema")).WithCause(err)
	case errors.Is(err, signup.ErrWrongConfirmation):
		return Invalid(Field{Field: "confirm", Code: "mismatch", Message: messages.ID("field.confirm")})
	}
	return limitRefusal(err)
}

// limitRefusal is the part of the table for the errors of sign-ups that carry a time or a state.
func limitRefusal(err error) *Problem {
	var (
		often *signup.TooManyMails
		rate  *signup.RateLimited
		spent *signup.BudgetExceeded
		state *signup.SchoolState
		unfit *signup.SchoolUnusable
	)
	switch {
	case errors.As(err, &rate):
		return New(RateLimited, messages.ID("detail.rate_limited")).WithRetryAfter(rate.RetryAfter)
	case errors.As(err, &spent):
		return New(SignupBudget, messages.ID("detail.budget")).WithRetryAfter(spent.RetryAfter).WithCause(err)
	case errors.As(err, &state):
		return New(Forbidden, messages.ID("detail.school_state", messages.Args{"State": State(state.State)}))
	case errors.As(err, &unfit):
		return New(Busy, messages.ID("detail.school_unusable", messages.Args{"Cause": unfit.Reason})).WithRetryAfter(10 * time.Second).WithCause(err)
	case errors.As(err, &often):
		return New(RateLimited, messages.ID("detail.mail_often")).WithRetryAfter(often.RetryAfter)
	}
	return nil
}

func fieldsOf(fields []signup.FieldError) []Field {
	problems := make([]Field, len(fields))
	for i, field := range fields {
		problems[i] = Field(field)
	}
	return problems
}

func unavailableProblem(u *signup.Unavailable) *Problem {
	var p *Problem
	switch u.What {
	case signup.Identity:
		p = New(IdentityUnavailable, messages.ID("detail.identity_later"))
	case signup.Catalog:
		p = New(CatalogUnavailable, messages.ID("detail.catalog_later"))
	case signup.Captcha:
		p = New(Busy, messages.ID("detail.captcha_unchecked"))
	default:
		p = New(Busy, messages.ID("detail.busy_later"))
	}
	return p.WithRetryAfter(u.RetryAfter).WithCause(u)
}
