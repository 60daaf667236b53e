package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"homeroom/admission"
	"homeroom/catalog"
	"homeroom/internal/secret"
	"homeroom/signup"
)

// sessionTimeout bounds the login right after a sign-up: the account is there, and its owner can log in by themselves.
const sessionTimeout = 5 * time.Second

// AuthSession is a login that has just been used.
type AuthSession struct {
	Token     string    `json:"token" doc:"The access token for this API, made by the identity provider."`
	ExpiresAt time.Time `json:"expiresAt" doc:"Until when it is good."`
}

// openSession logs somebody in who has just signed up. It may fail: the answer then has no session, and the log says why.
func (s *server) openSession(ctx context.Context, password secret.String, result *signup.Result) *AuthSession {
	if s.cfg.Sessions == nil || password == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sessionTimeout)
	defer cancel()
	session, err := s.cfg.Sessions.OpenSession(ctx, result.User.Email, password, admission.CallerOf(ctx).Address)
	if err != nil {
		s.cfg.Logger.WarnContext(ctx, "nobody is logged in after a sign-up", "signup", result.SignupID, "error", err)
		return nil
	}
	if err := s.addSession(ctx, result); err != nil {
		s.cfg.Logger.ErrorContext(ctx, "a session is told to nobody", "signup", result.SignupID, "error", err)
	}
	return &AuthSession{Token: session.Token.Reveal(), ExpiresAt: session.ExpiresAt.UTC()}
}

// addSession writes the event.
func (s *server) addSession(ctx context.Context, result *signup.Result) error {
	data, err := json.Marshal(map[string]any{"userId": result.User.ID})
	if err != nil {
		return fmt.Errorf("write event %s: %w", catalog.SessionCreated, err)
	}
	return s.cfg.Catalog.Emit(ctx, catalog.OutboxEvent{
		Type: catalog.SessionCreated, TenantID: &result.School.ID, SignupID: &result.SignupID, Data: data,
	})
}
