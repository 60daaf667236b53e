package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/secret"
	"homeroom/webhook"
)

type webhookCommand struct {
	List       webhookList       `cmd:"" help:"List the webhooks, newest first."`
	Add        webhookAdd        `cmd:"" help:"Add a webhook, and print its secret."`
	Show       webhookShow       `cmd:"" help:"Show everything about a webhook."`
	Rotate     webhookRotate     `cmd:"" help:"Give a webhook a new secret, and print it. Deliveries are also signed with the previous one for 24 hours."`
	Enable     webhookEnable     `cmd:"" help:"Send events to a webhook again."`
	Disable    webhookDisable    `cmd:"" help:"Send no events to a webhook. Its pending deliveries become dead."`
	Remove     webhookRemove     `cmd:"" help:"Remove a webhook with all its deliveries."`
	Deliveries webhookDeliveries `cmd:"" help:"List the deliveries to a webhook, newest first."`
	Replay     webhookReplay     `cmd:"" help:"Send a delivery again, with the same webhook-id."`
	Ping       webhookPing       `cmd:"" help:"Send one ping from this machine, now. Exits with 3 when it was not accepted."`
}

// webhookRow is a webhook as the lists show it.
type webhookRow struct {
	ID              string   `json:"id"`
	URL             string   `json:"url"`
	Description     string   `json:"description,omitempty"`
	Events          []string `json:"events"`
	Enabled         bool     `json:"enabled"`
	DisabledBecause string   `json:"disabledBecause,omitempty"`
	CreatedBy       string   `json:"createdBy"`
	CreatedAt       string   `json:"createdAt"`
	RotatedAt       string   `json:"rotatedAt,omitempty"`
	// PreviousSecretUntil is when the previous secret stops signing.
	PreviousSecretUntil string `json:"previousSecretUntil,omitempty"`
	// Secret is set only where the user asked for it.
	Secret string `json:"secret,omitempty"`
}

func newWebhookRow(row catalog.WebhookEndpoint) webhookRow {
	h := webhookRow{
		ID: row.ID.String(), URL: row.URL, Description: row.Description, Events: row.Events, Enabled: row.Enabled,
		CreatedBy: row.CreatedBy, CreatedAt: formatTime(&row.CreatedAt), RotatedAt: formatTime(row.RotatedAt),
		PreviousSecretUntil: formatTime(row.PreviousUntil),
	}
	if row.DisabledBecause != nil {
		h.DisabledBecause = *row.DisabledBecause
	}
	return h
}

// formatTime formats a time; it is empty for nil.
func formatTime(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// state returns the state as one word.
func (h webhookRow) state() string {
	if h.Enabled {
		return "enabled"
	}
	return "disabled"
}

func (h webhookRow) events() string { return cmp.Or(strings.Join(h.Events, " "), "all") }

// rows returns the lines of a single webhook, without the empty ones.
func (h webhookRow) rows() [][]string {
	var rows [][]string
	for _, row := range [][]string{
		{"id", h.ID},
		{"url", h.URL},
		{"description", h.Description},
		{"events", h.events()},
		{"state", h.state()},
		{"disabled because", h.DisabledBecause},
		{"created", h.CreatedAt + " by " + h.CreatedBy},
		{"rotated", h.RotatedAt},
		{"old secret signs until", h.PreviousSecretUntil},
		{"secret", h.Secret},
	} {
		if row[1] != "" {
			rows = append(rows, row)
		}
	}
	return rows
}

// printWebhook prints a single webhook.
func (o output) printWebhook(p program, row catalog.WebhookEndpoint, key secret.String) error {
	h := newWebhookRow(row)
	h.Secret = key.Reveal()
	return o.print(p.stdout, []string{"FIELD", "VALUE"}, h.rows(), h)
}

type webhookList struct{ output }

// Run lists webhooks, all pages of them.
func (c webhookList) Run(ctx context.Context, p program) error {
	return withReadOnlyApp(ctx, p, func(a *app) error {
		found, err := allPages(func(cursor string) (catalog.Page[catalog.WebhookEndpoint], error) {
			return a.catalog.Webhooks(ctx, cursor, pageSize)
		})
		if err != nil {
			return err
		}
		hooks, rows := make([]webhookRow, len(found)), make([][]string, len(found))
		for i, row := range found {
			h := newWebhookRow(row)
			hooks[i], rows[i] = h, []string{h.ID, h.URL, h.events(), h.state(), h.Description}
		}
		if len(rows) == 0 && c.Output == "table" {
			_, err := fmt.Fprintln(p.stdout, "No webhooks.")
			return err
		}
		return c.print(p.stdout, []string{"ID", "URL", "EVENTS", "STATE", "DESCRIPTION"}, rows, hooks)
	})
}

type webhookAdd struct {
	URL         string   `arg:"" help:"URL to post events to, such as https://hooks.lincoln.example/homeroom."`
	Event       []string `help:"Only this type of event, such as tenant.ready; may be repeated. All when there is none."`
	Description string   `help:"Its purpose."`
	output
}

// Run adds a webhook.
func (c webhookAdd) Run(ctx context.Context, p program) error {
	return withApp(ctx, p, func(a *app) error {
		row, key, err := a.webhooks.Add(ctx, operatorActor(), webhook.EndpointParams{URL: c.URL, Description: c.Description, Events: c.Event})
		if err != nil {
			return err
		}
		return c.printWebhook(p, row, key)
	})
}

// operatorActor names the user who runs the command in the audit log.
func operatorActor() catalog.Actor { return catalog.Actor{Name: operator()} }

// webhookArg is the id of a webhook.
type webhookArg struct {
	Webhook string `arg:"" help:"Id of the webhook."`
}

// withWebhook runs f with the app and the webhook's id. withReadOnly does so for an f that only reads.
func (c webhookArg) withWebhook(ctx context.Context, p program, f func(a *app, id uuid.UUID) error) error {
	return c.find(ctx, p, false, f)
}

func (c webhookArg) withReadOnly(ctx context.Context, p program, f func(a *app, id uuid.UUID) error) error {
	return c.find(ctx, p, true, f)
}

func (c webhookArg) find(ctx context.Context, p program, readOnly bool, f func(a *app, id uuid.UUID) error) error {
	unknown := fmt.Errorf("there is no webhook %q: homeroom webhook list shows all", c.Webhook)
	id, err := uuid.Parse(c.Webhook)
	if err != nil {
		return unknown
	}
	return onApp(ctx, p, readOnly, func(a *app) error {
		if _, err := a.catalog.Webhook(ctx, id); errors.Is(err, catalog.ErrNotFound) {
			return unknown
		} else if err != nil {
			return err
		}
		return f(a, id)
	})
}

type webhookShow struct {
	webhookArg
	Secret bool `help:"Print its secret as well."`
	output
}

// Run shows a webhook.
func (c webhookShow) Run(ctx context.Context, p program) error {
	return c.withReadOnly(ctx, p, func(a *app, id uuid.UUID) error {
		row, err := a.catalog.Webhook(ctx, id)
		if err != nil {
			return err
		}
		var key secret.String
		if c.Secret {
			key = a.webhooks.Secret(row)
		}
		return c.printWebhook(p, row, key)
	})
}

type webhookRotate struct {
	webhookArg
	output
}

// Run gives a webhook a new secret.
func (c webhookRotate) Run(ctx context.Context, p program) error {
	return c.withWebhook(ctx, p, func(a *app, id uuid.UUID) error {
		row, key, err := a.webhooks.Rotate(ctx, operatorActor(), id)
		if err != nil {
			return err
		}
		return c.printWebhook(p, row, key)
	})
}

type webhookEnable struct{ webhookArg }

// Run enables a webhook.
func (c webhookEnable) Run(ctx context.Context, p program) error {
	return c.set(ctx, p, true, "receives events from now on. Dead deliveries can be replayed")
}

type webhookDisable struct{ webhookArg }

// Run disables a webhook.
func (c webhookDisable) Run(ctx context.Context, p program) error {
	return c.set(ctx, p, false, "receives no more events")
}

// set enables or disables a webhook, and prints what that means.
func (c webhookArg) set(ctx context.Context, p program, enabled bool, means string) error {
	return c.withWebhook(ctx, p, func(a *app, id uuid.UUID) error {
		row, err := a.webhooks.Change(ctx, operatorActor(), id, webhook.Change{Enabled: &enabled})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "The webhook %s %s.\n", row.URL, means)
		return err
	})
}

type webhookRemove struct{ webhookArg }

// Run removes a webhook.
func (c webhookRemove) Run(ctx context.Context, p program) error {
	return c.withWebhook(ctx, p, func(a *app, id uuid.UUID) error {
		if err := a.webhooks.Remove(ctx, operatorActor(), id); err != nil {
			return err
		}
		_, err := fmt.Fprintln(p.stdout, "The webhook was removed, with all its deliveries.")
		return err
	})
}
