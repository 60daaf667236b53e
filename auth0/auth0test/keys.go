package auth0test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is a SHA-1 by its standard (RFC 7517, 4.8)
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// signingKey is one key of the tenant. The last one in Server.keys signs; all are published.
type signingKey struct {
	id      string
	private *rsa.PrivateKey
	cert    *x509.Certificate
}

// sharedKey is the first key of every tenant without a state file. Creating one takes a tenth of a second, which would
// be most of the time of a small test. Tenants still differ by their issuer.
var sharedKey = sync.OnceValues(newRSAKey)

func newRSAKey() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }

// newSigningKey wraps a key in the certificate that Auth0 publishes with it.
func newSigningKey(private *rsa.PrivateKey, now time.Time) (*signingKey, error) {
	id := make([]byte, 11)
	_, _ = rand.Read(id) // never fails
	key := &signingKey{id: hex.EncodeToString(id), private: private}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "auth0test"},
		NotBefore:    now, NotAfter: now.AddDate(14, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, fmt.Errorf("certify signing key: %w", err)
	}
	if key.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("read signing certificate: %w", err)
	}
	return key, nil
}

// RotateKeys creates a new signing key. The old ones stay published, and their tokens valid, until RevokeKeys.
func (s *Server) RotateKeys() error {
	private, err := newRSAKey()
	if err != nil {
		return fmt.Errorf("make signing key: %w", err)
	}
	key, err := newSigningKey(private, s.now())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, key)
	return s.save()
}

// RevokeKeys removes all signing keys except the current one; tokens signed with them are refused from now on.
func (s *Server) RevokeKeys() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = s.keys[len(s.keys)-1:]
	return s.save()
}

func (s *Server) currentKey() *signingKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[len(s.keys)-1]
}

func (s *Server) keyByID(id string) (*signingKey, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.keys {
		if key.id == id {
			return key, true
		}
	}
	return nil, false
}

func (k *signingKey) jwk() jose.JSONWebKey {
	thumbprint := sha1.Sum(k.cert.Raw) //nolint:gosec // see the import
	return jose.JSONWebKey{
		Key: k.private.Public(), KeyID: k.id, Algorithm: string(jose.RS256), Use: "sig",
		Certificates:              []*x509.Certificate{k.cert},
		CertificateThumbprintSHA1: thumbprint[:],
	}
}

func (s *Server) getJWKS(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	set := jose.JSONWebKeySet{}
	for _, key := range slices.Backward(s.keys) {
		set.Keys = append(set.Keys, key.jwk())
	}
	s.mu.Unlock()
	w.Header().Set("Cache-Control", "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400")
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	writeBody(w, http.StatusOK, set)
}

func (s *Server) getDiscovery(w http.ResponseWriter, _ *http.Request) {
	at := s.cfg.issuer()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	writeBody(w, http.StatusOK, map[string]any{
		"issuer":                        at,
		"authorization_endpoint":        at + "authorize",
		"token_endpoint":                at + "oauth/token",
		"device_authorization_endpoint": at + "oauth/device/code",
		"userinfo_endpoint":             at + "userinfo",
		"mfa_challenge_endpoint":        at + "mfa/challenge",
		"jwks_uri":                      at + ".well-known/jwks.json",
		"registration_endpoint":         at + "oidc/register",
		"revocation_endpoint":           at + "oauth/revoke",
		"scopes_supported": []string{
			"openid", "profile", "offline_access", "name", "given_name", "family_name", "nickname", "email",
			"email_verified", "picture", "created_at", "identities", "phone", "address",
		},
		"response_types_supported": []string{
			"code", "token", "id_token", "code token", "code id_token", "token id_token", "code token id_token",
		},
		"code_challenge_methods_supported":      []string{"S256", "plain"},
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"subject_types_supported":               []string{"public"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"claims_supported": []string{
			"aud", "auth_time", "created_at", "email", "email_verified", "exp", "family_name", "given_name", "iat",
			"identities", "iss", "name", "nickname", "phone_number", "picture", "sub",
		},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"request_uri_parameter_supported":       false,
		"request_parameter_supported":           false,
	})
}
