//go:build dev

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
)

type tokenCommand struct {
	Permissions []string `help:"What the token allows, separated by commas: read:tenants, update:tenants, …" placeholder:"PERMISSION"`
	User        string   `help:"E-mail of the user that the token is for; an operator when empty." placeholder:"EMAIL"`
}

// tokenRequest is a request to the simulator.
type tokenRequest struct {
	Subject     string   `json:"subject,omitempty"`
	Permissions []string `json:"permissions"`
	Audience    []string `json:"audience"`
}

// Run gets a token from the simulator. A real Auth0 has no such endpoint.
func (c tokenCommand) Run(ctx context.Context, p program) error {
	cfg, err := readCommandConfig(p)
	if err != nil {
		return err
	}
	request := tokenRequest{Permissions: c.Permissions, Audience: []string{cfg.Auth0Audience}}
	if c.User != "" {
		a, err := openApp(ctx, cfg, slog.New(slog.DiscardHandler), 1)
		if err != nil {
			return err
		}
		defer a.close()
		user, err := a.catalog.UserByEmail(ctx, c.User)
		if err != nil {
			return fmt.Errorf("there is no user %s: %w", c.User, err)
		}
		request.Subject = user.IdentityID
	}
	token, err := requestToken(ctx, cfg.Auth0BaseURL, request)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, token)
	return err
}

func requestToken(ctx context.Context, base string, request tokenRequest) (string, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/_sim/tokens", bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("AUTH0_BASE_URL: %w", err)
	}
	post.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(post)
	if err != nil {
		return "", fmt.Errorf("ask the simulator (is homeroom dev running?): %w", err)
	}
	defer response.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		return "", errors.New("only the Auth0 simulator issues tokens on request; with a real Auth0 an operator gets one by logging in")
	}
	return answer.AccessToken, nil
}
