package tenant

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"homeroom/internal/secret"
)

// password derives the password of a tenant's role (HKDF, RFC 5869, from the server's key, the tenant and the
// rotation), so that it is stored nowhere and every process knows it.
func (s *Server) password(id ID, rotation int) secret.String {
	return secret.String(base64.RawURLEncoding.EncodeToString(s.derive("password", id, rotation, 24)))
}

// KeyCheck returns a value by which a tenant key is recognised. The key cannot be computed from it.
func KeyCheck(key []byte) []byte {
	check, err := hkdf.Key(sha256.New, key, nil, "homeroom tenant key check", sha256.Size)
	if err != nil {
		panic(err) // only for a length beyond 8 kB
	}
	return check
}

func (s *Server) derive(what string, id ID, rotation, length int) []byte {
	key, err := hkdf.Key(sha256.New, s.cfg.Key, nil, fmt.Sprintf("homeroom tenant %s %s %d", what, id, rotation), length)
	if err != nil {
		panic(err) // only for a length beyond 8 kB
	}
	return key
}

// verifier returns the password as Postgres stores it (SCRAM-SHA-256, RFC 7677), so that no statement, which the server may log,
// contains the password. The salt is derived too: the same password has the same verifier.
func (s *Server) verifier(id ID, rotation int) string {
	const iterations = 4096
	salt := s.derive("salt", id, rotation, 16)
	salted, err := pbkdf2.Key(sha256.New, s.password(id, rotation).Reveal(), salt, iterations, sha256.Size)
	if err != nil {
		panic(err) // only in FIPS mode for a short salt
	}
	storedKey := sha256.Sum256(mac(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(storedKey[:]), b64(mac(salted, "Server Key")))
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

// URL returns the URL of a tenant's database with the credentials of the tenant's role. It keeps only the connection
// parameters of the server's URL; the others are for our own pools, statements and role.
func (s *Server) URL(id ID, rotation int) secret.String {
	u, err := url.Parse(s.cfg.URL.Reveal())
	if err != nil {
		panic(err) // checked by validate
	}
	u.User = url.UserPassword(id.Database(), s.password(id, rotation).Reveal())
	u.Path = "/" + id.Database()
	parameters := u.Query()
	maps.DeleteFunc(parameters, func(name string, _ []string) bool {
		return !strings.HasPrefix(name, "ssl") && !slices.Contains(connectParameters, name)
	})
	u.RawQuery = parameters.Encode()
	return secret.String(u.String())
}

// connectParameters are the parameters of a URL, besides those of TLS, that are valid for every role and database.
var connectParameters = []string{
	"host", "port", "connect_timeout", "target_session_attrs", "channel_binding", "require_auth",
	"krbsrvname", "krbspn", "min_protocol_version", "max_protocol_version",
}

// roleOptions returns the attributes of a tenant's role. It omits SUPERUSER and the like: they are off for a new role,
// and a role without them may not name them in CREATE ROLE.
func (s *Server) roleOptions() string {
	return fmt.Sprintf("login inherit connection limit %d", s.cfg.ConnectionLimit)
}

// createRole returns the SQL that creates a tenant's role.
func (s *Server) createRole(id ID, rotation int) string {
	role := quoteGenerated(id.Database())
	return fmt.Sprintf("create role %s %s password '%s' in role %s; alter role %s set search_path = public",
		role, s.roleOptions(), s.verifier(id, rotation), quoteGenerated(groupRole), role)
}

// setPassword returns the SQL that sets the derived password of a rotation.
func (s *Server) setPassword(id ID, rotation int) string {
	return fmt.Sprintf("alter role %s password '%s'", quoteGenerated(id.Database()), s.verifier(id, rotation))
}
