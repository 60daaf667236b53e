package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"homeroom/admission"
	"homeroom/catalog"
	"homeroom/signup"
)

// approveSignups is the permission to approve and reject sign-ups.
const approveSignups = "approve:signups"

func (s *server) registerApprovals() {
	register(s, withPermission(approveSignups), huma.Operation{
		OperationID: "listWaitingSignups", Method: http.MethodGet, Path: "/signups", Tags: []string{tagOperator},
		Summary:     "List the sign-ups that wait for approval",
		Description: "The oldest first, in pages.",
		Errors:      []int{http.StatusUnprocessableEntity},
	}, s.listWaiting)
	register(s, withPermission(approveSignups), huma.Operation{
		OperationID: "approveSignup", Method: http.MethodPost, Path: "/signups/{id}/approve", Tags: []string{tagOperator},
		Metadata:    flags(needsWaiting),
		Summary:     "Approve a sign-up",
		Description: "Its school is created, and its owner is notified by mail. The answers are those of `POST /users`.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable},
		Responses:   s.signupResponses(),
	}, s.approve)
	register(s, withPermission(approveSignups), huma.Operation{
		OperationID: "rejectSignup", Method: http.MethodPost, Path: "/signups/{id}/reject", Tags: []string{tagOperator},
		Metadata:      flags(needsWaiting),
		Summary:       "Reject a sign-up",
		Description:   "Its account is deleted within seconds, and its owner is notified by mail.",
		DefaultStatus: http.StatusNoContent,
		Errors:        []int{http.StatusNotFound, http.StatusConflict},
	}, s.reject)
	register(s, anyone, huma.Operation{
		OperationID: "resendVerification", Method: http.MethodPost, Path: "/signups/{id}/verification-email", Tags: []string{tagSignup},
		Metadata:      flags(needsWaiting),
		Summary:       "Send the mail with the confirmation link again",
		Description:   "At most three times an hour for each address.",
		DefaultStatus: http.StatusAccepted,
		Errors:        []int{http.StatusNotFound, http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable},
	}, s.postVerificationMail)
}

// WaitingSignup is a sign-up that waits for an operator.
type WaitingSignup struct {
	SignupID      uuid.UUID         `json:"signupId" doc:"The sign-up."`
	Email         string            `json:"email" doc:"The e-mail address of the person." example:"ada@lincoln.example"`
	EmailVerified bool              `json:"emailVerified" doc:"Whether the person has confirmed it."`
	Name          string            `json:"name,omitempty" doc:"The person's name." example:"Ada Lovelace"`
	SchoolName    string            `json:"schoolName" doc:"The school's name." example:"Lincoln High"`
	Profile       map[string]string `json:"profile,omitempty" doc:"The other fields of the sign-up."`
	CreatedAt     time.Time         `json:"createdAt" doc:"When the person signed up."`
	ExpiresAt     time.Time         `json:"expiresAt" doc:"When the sign-up expires."`
}

func waitingSignupOf(row catalog.SignupSummary) WaitingSignup {
	return WaitingSignup{
		SignupID: row.ID, Email: row.Email, EmailVerified: row.EmailVerified, Name: row.Name, SchoolName: row.SchoolName,
		Profile: row.Profile, CreatedAt: row.CreatedAt.UTC(), ExpiresAt: row.ExpiresAt.UTC(),
	}
}

// WaitingPage is a page of the list.
type WaitingPage struct {
	Signups    []WaitingSignup `json:"signups"`
	NextCursor string          `json:"nextCursor,omitempty" doc:"Continues the list; absent at its end."`
}

type waitingOutput struct{ Body WaitingPage }

func (s *server) listWaiting(ctx context.Context, in *ListInput) (*waitingOutput, error) {
	found, err := s.cfg.Catalog.Signups(ctx, catalog.AwaitingApproval, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	shown, next := page(found, waitingSignupOf)
	return &waitingOutput{WaitingPage{shown, next}}, nil
}

// actor returns the caller, for the audit log.
func actor(ctx context.Context) catalog.Actor {
	return catalog.Actor{Name: claimsOf(ctx).Subject, RequestID: requestOf(ctx).ID}
}

func (s *server) approve(ctx context.Context, in *SignupPath) (*postUserOutput, error) {
	id, err := catalog.ParseID(in.ID)
	if err != nil {
		return nil, err
	}
	outcome, err := s.cfg.Signup.Approve(ctx, id, actor(ctx))
	if err != nil {
		return nil, err
	}
	return begun(outcome, false), nil
}

func (s *server) reject(ctx context.Context, in *SignupPath) (*struct{}, error) {
	id, err := catalog.ParseID(in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.cfg.Signup.Reject(ctx, id, actor(ctx))
}

// verificationMailsOfClient is how often one client address may request the confirmation mail again.
// [signup.Service.RemindVerification] limits the mails to an e-mail address.
var verificationMailsOfClient = catalog.Allowance{Count: 30, Window: time.Hour}

func (s *server) postVerificationMail(ctx context.Context, in *SignupPath) (*struct{}, error) {
	id, err := catalog.ParseID(in.ID)
	if err != nil {
		return nil, err
	}
	if _, err := s.cfg.Signup.View(ctx, id); err != nil { // an unknown id must not create a row of a rate limit
		return nil, err
	}
	if s.cfg.Admission.CountsAddresses() {
		_, err := s.cfg.Admission.Take(ctx, "verification mail", &verificationMailsOfClient, admission.CallerOf(ctx))
		var often *signup.RateLimited
		if errors.As(err, &often) {
			err = &signup.TooManyMails{RetryAfter: often.RetryAfter}
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, s.cfg.Signup.RemindVerification(ctx, id)
}
