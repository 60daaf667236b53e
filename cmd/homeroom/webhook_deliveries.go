package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/webhook"
)

// deliveryRow is a delivery as the lists show it.
type deliveryRow struct {
	ID            string `json:"id"`
	EventID       string `json:"eventId"`
	EventType     string `json:"eventType"`
	State         string `json:"state"`
	Attempts      int    `json:"attempts"`
	CreatedAt     string `json:"createdAt"`
	AttemptedAt   string `json:"attemptedAt,omitempty"`
	NextAttemptAt string `json:"nextAttemptAt,omitempty"`
	LastStatus    *int   `json:"lastStatus,omitempty"`
	LastProblem   string `json:"lastProblem,omitempty"`
}

func newDeliveryRow(row catalog.Delivery) deliveryRow {
	s := deliveryRow{
		ID: row.ID.String(), EventID: row.EventID.String(), EventType: row.EventType, State: string(row.State), Attempts: row.Attempts,
		CreatedAt: formatTime(&row.CreatedAt), AttemptedAt: formatTime(row.AttemptedAt), NextAttemptAt: formatTime(row.NextAttemptAt),
		LastStatus: row.LastStatus,
	}
	if row.LastProblem != nil {
		s.LastProblem = *row.LastProblem
	}
	return s
}

type webhookDeliveries struct {
	webhookArg
	State string `enum:",pending,delivered,dead" default:"" help:"Only this state: pending, delivered or dead."`
	Limit int    `default:"50" help:"How many."`
	output
}

// Run lists deliveries.
func (c webhookDeliveries) Run(ctx context.Context, p program) error {
	return c.withReadOnly(ctx, p, func(a *app, id uuid.UUID) error {
		page, err := a.catalog.Deliveries(ctx, id, catalog.DeliveryState(c.State), "", c.Limit)
		if err != nil {
			return err
		}
		found := page.Rows
		if len(found) == 0 && c.Output == "table" {
			_, err := fmt.Fprintln(p.stdout, "No deliveries.")
			return err
		}
		list, rows := make([]deliveryRow, len(found)), make([][]string, len(found))
		for i, row := range found {
			s := newDeliveryRow(row)
			list[i] = s
			rows[i] = []string{s.ID, s.EventType, s.State, strconv.Itoa(s.Attempts), s.AttemptedAt, s.NextAttemptAt, s.LastProblem}
		}
		return c.print(p.stdout, []string{"DELIVERY", "EVENT", "STATE", "ATTEMPTS", "LAST", "NEXT", "PROBLEM"}, rows, list)
	})
}

type webhookReplay struct {
	webhookArg
	Delivery string `arg:"" help:"Id of the delivery."`
}

// Run schedules a delivery again; a service sends it.
func (c webhookReplay) Run(ctx context.Context, p program) error {
	return c.withWebhook(ctx, p, func(a *app, id uuid.UUID) error {
		unknown := fmt.Errorf("there is no delivery %q to that webhook: homeroom webhook deliveries lists them", c.Delivery)
		delivery, err := uuid.Parse(c.Delivery)
		if err != nil {
			return unknown
		}
		_, err = a.webhooks.Replay(ctx, operatorActor(), id, delivery)
		switch {
		case errors.Is(err, catalog.ErrNotFound):
			return unknown
		case errors.Is(err, webhook.ErrNotReplayable):
			return fmt.Errorf("it cannot be sent again now: %w", err)
		case err != nil:
			return err
		}
		_, err = fmt.Fprintln(p.stdout, "A service sends it again now, with as many attempts as a new one.")
		return err
	})
}

type webhookPing struct {
	webhookArg
	output
}

// Run sends a ping to a webhook.
func (c webhookPing) Run(ctx context.Context, p program) error {
	return c.withWebhook(ctx, p, func(a *app, id uuid.UUID) error {
		outcome, err := a.webhooks.Ping(ctx, operatorActor(), id)
		if err != nil {
			return err
		}
		answer, took := "", strconv.FormatInt(outcome.Took.Milliseconds(), 10)+" ms"
		if outcome.Status != 0 {
			answer = strconv.Itoa(outcome.Status)
		}
		err = c.print(p.stdout, []string{"DELIVERED", "STATUS", "TOOK", "PROBLEM"},
			[][]string{{strconv.FormatBool(outcome.OK()), answer, took, outcome.Problem}}, struct {
				Delivered  bool   `json:"delivered"`
				Status     int    `json:"status,omitempty"`
				Problem    string `json:"problem,omitempty"`
				DurationMS int64  `json:"durationMs"`
			}{outcome.OK(), outcome.Status, outcome.Problem, outcome.Took.Milliseconds()})
		if err == nil && !outcome.OK() {
			return exitError(exitFailures)
		}
		return err
	})
}
