package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/signup"
)

type signupCommand struct {
	List    signupList    `cmd:"" help:"List the sign-ups that wait for approval, or those of another status, oldest first."`
	Show    signupShow    `cmd:"" help:"Show a sign-up, whatever its status."`
	Approve signupApprove `cmd:"" help:"Approve a sign-up that waits for approval."`
	Reject  signupReject  `cmd:"" help:"Decline a sign-up that waits for approval. Its account is deleted, and its owner is notified."`
	Resolve signupResolve `cmd:"" help:"Finish or undo a sign-up that needs an operator. homeroom doctor lists them."`
	Invite  signupInvite  `cmd:"" help:"Invite a person to sign a school up, or to join one."`
}

// operatorAtTerminal names an operator at the command line in the audit log.
var operatorAtTerminal = catalog.Actor{Name: "operator"}

type signupApprove struct {
	Signup uuid.UUID `arg:"" help:"The sign-up's id, from homeroom signup list."`
}

// Run approves a sign-up, and waits for its school.
func (c signupApprove) Run(ctx context.Context, p program) error {
	return withApp(ctx, p, func(a *app) error {
		outcome, err := a.signup.Approve(ctx, c.Signup, operatorAtTerminal)
		if err := explainWaiting(c.Signup, err); err != nil {
			return err
		}
		if outcome.Result == nil {
			_, err = fmt.Fprintf(p.stdout, "Approved. The school is being created: homeroom serve continues it.\n")
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "Approved: %s is ready, as %s.\n", outcome.Result.School.Name, outcome.Result.School.Slug)
		return err
	})
}

type signupReject struct {
	Signup uuid.UUID `arg:"" help:"The sign-up's id, from homeroom signup list."`
}

// Run rejects a sign-up.
func (c signupReject) Run(ctx context.Context, p program) error {
	return withApp(ctx, p, func(a *app) error {
		if err := explainWaiting(c.Signup, a.signup.Reject(ctx, c.Signup, operatorAtTerminal)); err != nil {
			return err
		}
		_, err := fmt.Fprintln(p.stdout, "Rejected. Its account is deleted within seconds.")
		return err
	})
}

type signupResolve struct {
	Signup uuid.UUID `arg:"" help:"The sign-up's id, from homeroom doctor or from the person."`
	Finish bool      `help:"Resume it: every step checks by itself what is left to do. Repair the cause first." xor:"way" required:""`
	Undo   bool      `help:"End it: its user and its account are deleted, its e-mail and its slug become free. A database with data is kept." xor:"way" required:""`
}

// Run finishes or undoes a sign-up that needs an operator.
func (c signupResolve) Run(ctx context.Context, p program) error {
	return withApp(ctx, p, func(a *app) error {
		if err := a.cfg.requireIdentity(); err != nil {
			return err
		}
		resolve := a.signup.ResolveUndo
		if c.Finish {
			resolve = a.signup.ResolveFinish
		}
		resolved, err := resolve(ctx, c.Signup, operatorAtTerminal)
		switch {
		case errors.Is(err, catalog.ErrNotFound):
			return fmt.Errorf("there is no sign-up %s: see homeroom doctor", c.Signup)
		case errors.Is(err, signup.ErrNotWaiting):
			return fmt.Errorf("sign-up %s is %s, and needs no operator", c.Signup, resolved.Status)
		case errors.Is(err, signup.ErrInProgress):
			return fmt.Errorf("sign-up %s was resolved by somebody else just now: see homeroom doctor", c.Signup)
		case err != nil:
			return err
		}
		return c.print(p, resolved)
	})
}

// print prints the result.
func (c signupResolve) print(p program, r signup.Resolution) error {
	var err error
	switch {
	case r.Status == catalog.NeedsOperator:
		return fmt.Errorf("sign-up %s cannot be finished: %w. Repair that and repeat the command, or end the sign-up: "+
			"homeroom signup resolve %[1]s --undo", c.Signup, r.Cause)
	case r.Result != nil:
		_, err = fmt.Fprintf(p.stdout, "Finished: %s is ready, as %s.\n", r.Result.School.Name, r.Result.School.Slug)
	case c.Finish:
		_, err = fmt.Fprintf(p.stdout, "The sign-up is %s: homeroom serve continues it.\n", r.Status)
	default:
		_, err = fmt.Fprintln(p.stdout, "Undone: its user is deleted. homeroom serve frees its tenant in about a minute.")
	}
	if err == nil && r.Cause != nil {
		_, err = fmt.Fprintf(p.stdout, "It could not be continued now: %v\n", r.Cause)
	}
	return err
}

// explainWaiting says what to do when a sign-up does not exist, or does not wait for approval.
func explainWaiting(id uuid.UUID, err error) error {
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return fmt.Errorf("there is no sign-up %s: see homeroom signup list", id)
	case errors.Is(err, signup.ErrNotWaiting):
		return fmt.Errorf("sign-up %s does not wait for approval: see homeroom signup list", id)
	}
	return err
}

type signupInvite struct {
	Email  string `arg:"" help:"E-mail of the person to invite."`
	Tenant string `help:"The school to join: id, slug or database. Without it the person is invited to sign a school up."`
	Role   string `help:"The person's role at the school: member or admin."`
	Days   int    `default:"7" help:"For how many days the link is valid; at most 30."`
	Locale string `help:"The language of the mail, such as de."`
}

// Run invites a person, and prints the link that is also in the mail.
func (c signupInvite) Run(ctx context.Context, p program) error {
	return withApp(ctx, p, func(a *app) error {
		request := signup.InviteRequest{
			Email: c.Email, Role: c.Role, Locale: c.Locale, ValidFor: time.Duration(c.Days) * 24 * time.Hour, By: operatorAtTerminal,
		}
		if c.Tenant != "" {
			school, err := a.catalog.Tenant(ctx, c.Tenant)
			if errors.Is(err, catalog.ErrNotFound) {
				return fmt.Errorf("there is no tenant %s: see homeroom tenant list", c.Tenant)
			}
			if err != nil {
				return err
			}
			request.Tenant = &school.ID
		}
		made, err := a.signup.Invite(ctx, request)
		var invalid *signup.ValidationError
		if errors.As(err, &invalid) {
			return fmt.Errorf("%s: %s", invalid.Fields[0].Field, invalid.Fields[0].Message)
		}
		if err != nil {
			return err
		}
		delivery := "No mail is sent, since HOMEROOM_SMTP_URL is not set. Give the person this link yourself:"
		if a.mails != nil {
			delivery = "A mail with this link is being sent:"
		}
		_, err = fmt.Fprintf(p.stdout, "Invited %s as %s until %s. %s\n\n  %s\n",
			made.Email, made.Role, made.ExpiresAt.UTC().Format(time.RFC3339), delivery, links{a}.Invitation(made.ID))
		return err
	})
}
