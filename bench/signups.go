package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/internal/httpapi"
	"homeroom/tenant"
)

// schoolForm is the body of a sign-up.
type schoolForm struct {
	Email      string `json:"email"`
	Password   string `json:"password"`
	SchoolName string `json:"schoolName"`
}

// httpFront is a running HTTP server and a client for it.
type httpFront struct {
	server   *http.Server
	url      string
	client   *http.Client
	provider *stopwatch
}

// serve answers sign-ups, until the server of the front is closed.
func (h *homeroom) serve() (*httpFront, error) {
	handler, err := h.handler()
	if err != nil {
		return nil, err
	}
	return newFront(handler, h.provider)
}

func newFront(handler http.Handler, provider *stopwatch) (*httpFront, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	server := httpapi.NewServer("", handler)
	go func() { _ = server.Serve(listener) }() // ends with Close
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: mostClients}, Timeout: time.Minute}
	return &httpFront{server, "http://" + listener.Addr().String() + "/users", client, provider}, nil
}

// signUp signs a new school up and makes sure that it got a database. It returns the provider's part of the time.
func (f *httpFront) signUp(ctx context.Context) (time.Duration, error) {
	email, _, err := f.post(ctx)
	return f.provider.take(email), err
}

// post signs a new school up and makes sure that it got a database.
func (f *httpFront) post(ctx context.Context) (email string, signup uuid.UUID, err error) {
	word := strings.ToLower(rand.Text())
	form := schoolForm{Email: word + "@school.example", Password: "Chalk-and-Cheese-42", SchoolName: "School " + word}
	body, err := json.Marshal(form)
	if err != nil {
		return "", uuid.Nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(body))
	if err != nil {
		return "", uuid.Nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", uuid.NewString())
	response, err := f.client.Do(request)
	if err != nil {
		return "", uuid.Nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", uuid.Nil, err
	}
	var answer struct {
		SignupID uuid.UUID
		School   struct{ Database string }
	}
	if err := json.Unmarshal(text, &answer); err != nil || response.StatusCode != http.StatusCreated || answer.School.Database == "" {
		return "", uuid.Nil, fmt.Errorf("the sign-up was answered %s: %s", response.Status, text)
	}
	return form.Email, answer.SignupID, nil
}

// signups measures sign-ups with a spare, without one, and the naive way; and as lower bounds the CREATE DATABASE and
// the commit that they need.
func signups(ctx context.Context, b *testbed) (results, error) {
	ours, err := newHomeroom(ctx, b, "catalog_of_signups", b.migrations, b.signups)
	if err != nil {
		return results{}, err
	}
	defer ours.close()
	stock, err := newBenchSpares(ctx, b, ours)
	if err != nil {
		return results{}, err
	}
	front, err := ours.serve()
	if err != nil {
		return results{}, err
	}
	defer front.server.Close()
	other, closeOther, err := newNaive(ctx, b)
	if err != nil {
		return results{}, err
	}
	defer closeOther()

	var all []*variant
	for _, clients := range []int{1, mostClients} {
		all = append(all,
			&variant{name: "with a spare", ownName: "  our own time of it", clients: clients, prepare: stock.full, work: front.signUp},
			&variant{name: "without a spare", ownName: "  our own time of it", clients: clients, prepare: stock.empty, work: front.signUp},
			&variant{name: "the naive way", ownName: "  its own time of it", clients: clients, work: other.signUp},
			&variant{name: "bare CREATE DATABASE … TEMPLATE …", clients: clients, work: b.createDatabase(ours.servers)},
			&variant{name: "bare INSERT of one row", clients: clients, work: b.insertRow},
		)
	}
	for _, c := range all {
		c.pieces = b.signups
		if c.clients == 1 {
			c.pieces = (b.signups + 2) / 3
		}
	}
	found, err := b.race(ctx, "SIGN-UPS", b.rounds, stock.clean, all)
	if err == nil {
		found.verdicts = judgeSignups(all[:5], all[5:])
		err = stock.clean(ctx)
	}
	return found, err
}

func judgeSignups(one, many []*variant) []verdict {
	const spare, built, naive, bare, insert = 0, 1, 2, 3, 4
	own := func(c *variant) float64 { return describe("", 0, c.own).Median }
	total := func(c *variant) float64 { return describe("", 0, c.total).Median }
	rate := func(c *variant) float64 { return median(c.rates) }
	verdicts := []verdict{
		atMost("with a spare: our own time, 1 client", own(one[spare]), "ms", 5),
		atMost("  the same in commits of one row", own(one[spare])/total(one[insert]), "×", 0),
		atLeast("with a spare, faster than the naive way, 1 client", total(one[naive])/total(one[spare]), "×", 20),
		atLeast("  without the simulated provider's time in both", own(one[naive])/own(one[spare]), "×", 0),
		atLeast("with a spare, sign-ups a second over the naive way's, 8 clients", rate(many[spare])/rate(many[naive]), "×", 0),
		atLeast("without a spare, faster than the naive way, 1 client", total(one[naive])/total(one[built]), "×", 0),
		atLeast("without a spare, rate over bare CREATE DATABASE's, 1 client", 100*rate(one[built])/rate(one[bare]), "%", 0),
		atLeast("without a spare, rate over bare CREATE DATABASE's, 8 clients", 100*rate(many[built])/rate(many[bare]), "%", 80),
	}
	return append(verdicts, eachRound(many[built].rates, many[bare].rates, "%")...)
}

// benchSpares are the spares, created once. A sign-up takes the row of one and does not open its database, so the
// rows are made available again for the next turn.
type benchSpares struct {
	*testbed
	ours      *homeroom
	databases []string
}

func newBenchSpares(ctx context.Context, b *testbed, ours *homeroom) (*benchSpares, error) {
	b.logf("making %d spares", b.signups)
	if err := ours.signup.RefillSpares(ctx); err != nil {
		return nil, err
	}
	databases, err := b.databases(ctx, "^t_")
	return &benchSpares{b, ours, databases}, err
}

// full makes all spares available. Each sign-up of the next turn then finds one.
func (s *benchSpares) full(ctx context.Context) error {
	return s.set(ctx, `update tenants set state = 'spare', name = null, slug = null, ready_at = null, `+stillClaimable+`,
		claimable_in = catalog_instance() where database = any($1)`)
}

// empty makes all spares unavailable. Each sign-up of the next turn then creates a database.
func (s *benchSpares) empty(ctx context.Context) error {
	return s.set(ctx, `update tenants set state = 'suspended', name = 'Hidden', slug = replace(database, '_', '-') where database = any($1)`)
}

func (s *benchSpares) set(ctx context.Context, sql string) error {
	tag, err := s.ours.catalog.Pool().Exec(ctx, sql, s.databases)
	if err == nil && int(tag.RowsAffected()) != len(s.databases) {
		err = fmt.Errorf("there are %d spares, not %d", tag.RowsAffected(), len(s.databases))
	}
	return err
}

// clean drops all databases of the previous round.
func (s *benchSpares) clean(ctx context.Context) error {
	made, err := s.testbed.databases(ctx, "^(t|school|bare)_")
	if err != nil {
		return err
	}
	return s.drop(ctx, slices.DeleteFunc(made, func(name string) bool { return slices.Contains(s.databases, name) }))
}

// createDatabase clones the template of the sign-ups, and nothing else.
func (b *testbed) createDatabase(servers tenant.Servers) func(context.Context) (time.Duration, error) {
	var template string
	for _, server := range servers {
		template = server.Template()
	}
	return func(ctx context.Context) (time.Duration, error) {
		name := "bare_" + strings.ToLower(rand.Text())
		_, err := b.admin.Exec(ctx, "create database "+name+" template "+pgx.Identifier{template}.Sanitize())
		return 0, err
	}
}

// insertRow commits one row, which every durable write needs at least once.
func (b *testbed) insertRow(ctx context.Context) (time.Duration, error) {
	_, err := b.admin.Exec(ctx, "insert into bench_rows (text) values ('a row')")
	return 0, err
}

// newNaive serves the naive way, with open connections.
func newNaive(ctx context.Context, b *testbed) (*httpFront, func(), error) {
	if _, err := b.admin.Exec(ctx, "create table bench_rows (id bigint generated always as identity, text text)"); err != nil {
		return nil, nil, fmt.Errorf("create table: %w", err)
	}
	if err := b.newDatabase(ctx, "tenants_of_naive"); err != nil {
		return nil, nil, err
	}
	tenants, err := b.pool(ctx, "tenants_of_naive")
	if err != nil {
		return nil, nil, err
	}
	if _, err := tenants.Exec(ctx, createTenantsTable); err != nil {
		tenants.Close()
		return nil, nil, fmt.Errorf("create tenants table: %w", err)
	}
	handler := &naive{
		auth0: b.auth0, admin: b.admin, tenantsTable: tenants, databaseURL: b.postgres.URL, migrations: b.migrations,
		provider: newStopwatch(),
	}
	front, err := newFront(handler, handler.provider)
	if err != nil {
		tenants.Close()
		return nil, nil, err
	}
	return front, func() { _ = front.server.Close(); tenants.Close() }, nil
}
