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

// sessionTimeout bounds the login after a sign-up. If it fails, the owner can log in later.
const sessionTimeout = 5 * time.Second

// AuthSession is the result of a login.
type AuthSession struct {
	Token     string    `json:"token" doc:"The access token for this API, issued by the identity provider."`
	ExpiresAt time.Time `json:"expiresAt" doc:"When it expires."`
}

// openSession logs a person in after a sign-up. It may fail: the answer then has no session, and the log has the
// cause.
func (s *server) openSession(ctx context.Context, password secret.String, result *signup.Result) *AuthSession {
	if s.cfg.Sessions == nil || password == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sessionTimeout)
	defer cancel()
	session, err := s.cfg.Sessions.OpenSession(ctx, result.User.Email, password, admission.CallerOf(ctx).Address)
	if err != nil {
		s.cfg.Logger.WarnContext(ctx, "cannot log a person in after a sign-up", "signup", result.SignupID, "error", err)
		return nil
	}
	if err := s.addSession(ctx, result); err != nil {
		s.cfg.Logger.ErrorContext(ctx, "cannot record a session, so it is not returned", "signup", result.SignupID, "error", err)
	}
	return &AuthSession{Token: session.Token.Reveal(), ExpiresAt: session.ExpiresAt.UTC()}
}

// addSession writes the event of the session.
func (s *server) addSession(ctx context.Context, result *signup.Result) error {
	data, err := json.Marshal(map[string]any{"userId": result.User.ID})
	if err != nil {
		return fmt.Errorf("write event %s: %w", catalog.SessionCreated, err)
	}
	return s.cfg.Catalog.Emit(ctx, catalog.OutboxEvent{
		Type: catalog.SessionCreated, TenantID: &result.School.ID, SignupID: &result.SignupID, Data: data,
	})
}
