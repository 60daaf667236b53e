package webhook

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/secret"
)

// Secret returns the current signing secret of an endpoint.
func (s *Service) Secret(endpoint catalog.WebhookEndpoint) secret.String {
	return s.derive(endpoint.ID, endpoint.Rotation)
}

// secrets returns the signing secrets of an endpoint: the current one, and for a day after a rotation also the previous
// one.
func (s *Service) secrets(endpoint catalog.WebhookEndpoint) []secret.String {
	all := []secret.String{s.Secret(endpoint)}
	if endpoint.PreviousUntil != nil {
		all = append(all, s.derive(endpoint.ID, endpoint.Rotation-1))
	}
	return all
}

// derive derives a secret from the server's key (HKDF, RFC 5869), the endpoint and the rotation, so that it need not be stored.
func (s *Service) derive(endpoint uuid.UUID, rotation int) secret.String {
	key, err := hkdf.Key(sha256.New, s.cfg.Key, nil, fmt.Sprintf("homeroom webhook %s %d", endpoint, rotation), 32)
	if err != nil {
		panic(err) // only for a length beyond 8 kB
	}
	return secret.String("whsec_" + base64.StdEncoding.EncodeToString(key))
}
