package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4"
	_ "github.com/golang-migrate/migrate/v4/database/pgx/v5" // the driver that the tutorials import
	_ "github.com/golang-migrate/migrate/v4/source/file"     // as above
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// naive signs a school up as tutorials do: everything one after the other, within the request. It is only for
// comparison, and leaves partly created schools when a step fails.
type naive struct {
	auth0 *simulator
	// admin creates databases, tenantsTable has the table of tenants; both are warm pools.
	admin, tenantsTable *pgxpool.Pool
	// databaseURL is the address of a database as the superuser.
	databaseURL func(database string) string
	migrations  string
	provider    *stopwatch
}

const createTenantsTable = `
	create table tenants (
		id bigint generated always as identity primary key,
		email text not null unique,
		school_name text not null,
		auth0_id text not null,
		database_name text not null unique,
		created_at timestamptz not null default now()
	)`

// ServeHTTP is POST /users.
func (n *naive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var form schoolForm
	if err := json.NewDecoder(r.Body).Decode(&form); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	database, err := n.signUp(r.Context(), form)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"school": map[string]string{"name": form.SchoolName, "database": database}})
}

func (n *naive) signUp(ctx context.Context, form schoolForm) (string, error) {
	began := time.Now()
	token, err := n.token(ctx)
	if err != nil {
		return "", err
	}
	user, err := n.createUser(ctx, token, form)
	if err != nil {
		return "", err
	}
	n.provider.add(form.Email, time.Since(began))

	database := "school_" + strings.ToLower(rand.Text())
	if _, err := n.admin.Exec(ctx, "create database "+pgx.Identifier{database}.Sanitize()); err != nil {
		return "", fmt.Errorf("create database: %w", err)
	}
	if err := migrateStock(n.migrations, n.databaseURL(database)); err != nil {
		return "", err
	}
	_, err = n.tenantsTable.Exec(ctx, `insert into tenants (email, school_name, auth0_id, database_name) values ($1, $2, $3, $4)`,
		form.Email, form.SchoolName, user, database)
	if err != nil {
		return "", fmt.Errorf("register tenant: %w", err)
	}
	return database, nil
}

// migrateStock migrates a database with golang-migrate and its own driver for pgx. A current one is no error.
func migrateStock(folder, databaseURL string) error {
	m, err := migrate.New("file://"+folder, strings.Replace(databaseURL, "postgres://", "pgx5://", 1))
	if err != nil {
		return fmt.Errorf("open migrations: %w", err)
	}
	err = m.Up()
	if errors.Is(err, migrate.ErrNoChange) {
		err = nil
	}
	source, database := m.Close()
	if err := errors.Join(err, source, database); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// token requests a Management API token, for every request.
func (n *naive) token(ctx context.Context) (string, error) {
	form := url.Values{
		"grant_type": {"client_credentials"}, "audience": {n.auth0.management},
		"client_id": {n.auth0.clientID}, "client_secret": {n.auth0.clientSecret},
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err := post(ctx, n.auth0.url+"/oauth/token", "", "application/x-www-form-urlencoded", []byte(form.Encode()), &answer)
	if err != nil {
		return "", fmt.Errorf("fetch token: %w", err)
	}
	return answer.AccessToken, nil
}

func (n *naive) createUser(ctx context.Context, token string, form schoolForm) (string, error) {
	body, err := json.Marshal(map[string]any{
		"connection": "Username-Password-Authentication", "email": form.Email, "password": form.Password,
		"app_metadata": map[string]string{"school_name": form.SchoolName},
	})
	if err != nil {
		return "", fmt.Errorf("create user: %w", err)
	}
	var answer struct {
		UserID string `json:"user_id"`
	}
	if err := post(ctx, n.auth0.url+"/api/v2/users", token, "application/json", body, &answer); err != nil {
		return "", fmt.Errorf("create user: %w", err)
	}
	return answer.UserID, nil
}

// post sends a body and reads a JSON answer.
func post(ctx context.Context, address, token, kind string, body []byte, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", kind)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s answered %s", address, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
