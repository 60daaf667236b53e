package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/signup"
)

// signupRow is a sign-up as the list shows it.
type signupRow struct {
	ID            uuid.UUID         `json:"signupId"`
	Status        catalog.Status    `json:"status"`
	SchoolName    string            `json:"schoolName"`
	Name          string            `json:"name"`
	Email         string            `json:"email"`
	EmailVerified bool              `json:"emailVerified"`
	Profile       map[string]string `json:"profile,omitempty"`
	CreatedAt     string            `json:"createdAt"`
	ExpiresAt     string            `json:"expiresAt,omitempty"`
	FinishedAt    string            `json:"finishedAt,omitempty"`
}

func newSignupRow(s catalog.SignupSummary) signupRow {
	return signupRow{
		ID: s.ID, Status: s.Status, SchoolName: s.SchoolName, Name: s.Name, Email: s.Email, EmailVerified: s.EmailVerified,
		Profile: s.Profile, CreatedAt: formatTime(&s.CreatedAt), ExpiresAt: formatTime(s.ExpiresAt), FinishedAt: formatTime(s.FinishedAt),
	}
}

// confirmed answers whether the e-mail is confirmed.
func (r signupRow) confirmed() string {
	if r.EmailVerified {
		return "yes"
	}
	return "no"
}

type signupList struct {
	Status string `enum:"pending,awaiting_verification,awaiting_approval,provisioning,needs_operator,ready,failed,expired,all" default:"awaiting_approval" help:"Only this status, or all: ${enum}."`
	output
}

// Run lists sign-ups, all pages of them.
func (c signupList) Run(ctx context.Context, p program) error {
	return withReadOnlyApp(ctx, p, func(a *app) error {
		status := catalog.Status(c.Status)
		if c.Status == "all" {
			status = ""
		}
		found, err := allPages(func(cursor string) (catalog.Page[catalog.SignupSummary], error) {
			return a.catalog.Signups(ctx, status, cursor, pageSize)
		})
		if err != nil {
			return err
		}
		list, rows := make([]signupRow, len(found)), make([][]string, len(found))
		for i, row := range found {
			r := newSignupRow(row)
			list[i] = r
			rows[i] = []string{r.ID.String(), r.SchoolName, r.Name, r.Email, r.confirmed(), r.CreatedAt, r.ExpiresAt, string(r.Status)}
		}
		if len(rows) == 0 && c.Output == "table" {
			text := "No sign-up has this status."
			if status == catalog.AwaitingApproval {
				text = "No sign-up waits for approval."
			}
			_, err := fmt.Fprintln(p.stdout, text)
			return err
		}
		return c.print(p.stdout, []string{"SIGN-UP", "SCHOOL", "NAME", "E-MAIL", "CONFIRMED", "SINCE", "UNTIL", "STATUS"}, rows, list)
	})
}

type signupShow struct {
	Signup uuid.UUID `arg:"" help:"The sign-up's id, from homeroom signup list, homeroom doctor or the person."`
	output
}

// Run shows a sign-up, with its steps.
func (c signupShow) Run(ctx context.Context, p program) error {
	return withReadOnlyApp(ctx, p, func(a *app) error {
		found, err := a.catalog.SignupSummary(ctx, c.Signup)
		if errors.Is(err, catalog.ErrNotFound) {
			return fmt.Errorf("there is no sign-up %s: homeroom signup list --status all shows all", c.Signup)
		}
		if err != nil {
			return err
		}
		r := newSignupRow(found)
		rows := [][]string{
			{"id", r.ID.String()},
			{"status", string(r.Status)},
			{"school", r.SchoolName},
			{"name", r.Name},
			{"e-mail", r.Email},
			{"e-mail confirmed", r.confirmed()},
			{"created", r.CreatedAt},
		}
		optional := func(field, value string) {
			if value != "" {
				rows = append(rows, []string{field, value})
			}
		}
		optional("expires", r.ExpiresAt)
		optional("finished", r.FinishedAt)
		if found.TenantID != nil {
			optional("tenant", found.TenantID.String())
		}
		optional("problem", string(found.Problem))
		var steps []signup.Step
		if err := json.Unmarshal(found.Steps, &steps); err != nil {
			return fmt.Errorf("read steps of sign-up %s: %w", c.Signup, err)
		}
		for _, step := range steps {
			rows = append(rows, []string{"step " + string(step.Name), strings.TrimSpace(fmt.Sprintf("%s, attempt %d %s", step.Status, step.Attempt, step.Problem))})
		}
		return c.print(p.stdout, []string{"FIELD", "VALUE"}, rows, struct {
			signupRow
			TenantID *uuid.UUID      `json:"tenantId,omitempty"`
			Steps    []signup.Step   `json:"steps"`
			Problem  json.RawMessage `json:"problem,omitempty"`
		}{r, found.TenantID, steps, found.Problem})
	})
}
