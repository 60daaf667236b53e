package webhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"homeroom/catalog"
	"homeroom/internal/npmtest"
)

func TestRequestsFollowStandardWebhooks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := receive(t, nil)
	endpoint, secret := b.add(r.URL)
	b.emit(catalog.TenantReady)
	delivery := b.single(endpoint.ID)
	b.deliver(delivery.ID)
	c := r.all()[0]

	t.Run("headers and body", func(t *testing.T) {
		equal(t, delivery.ID.String(), c.id(), "webhook-id")
		equal(t, "application/json", c.Header.Get("Content-Type"), "content type")
		at, err := strconv.ParseInt(c.Header.Get("webhook-timestamp"), 10, 64)
		check(t, err)
		equal(t, true, time.Since(time.Unix(at, 0)).Abs() < time.Minute, "the timestamp is that of the attempt")
		equal(t, true, regexp.MustCompile(`^v1,[A-Za-z0-9+/]{43}=$`).MatchString(c.Header.Get("webhook-signature")), "form of the signature")
		var body struct {
			Type, Timestamp string
			Data            struct{ School string }
		}
		decoder := json.NewDecoder(bytes.NewReader(c.Body))
		decoder.DisallowUnknownFields()
		check(t, decoder.Decode(&body))
		equal(t, catalog.TenantReady, body.Type, "type")
		equal(t, "Lincoln <High>", body.Data.School, "data")
		_, err = time.Parse(time.RFC3339Nano, body.Timestamp)
		check(t, err)
		equal(t, true, strings.HasSuffix(body.Timestamp, "Z"), body.Timestamp)
	})
	t.Run("the secret has the form that receivers expect", func(t *testing.T) {
		equal(t, true, regexp.MustCompile(`^whsec_[A-Za-z0-9+/]{43}=$`).MatchString(secret), "form of the secret")
		other, otherSecret := b.add(r.URL)
		equal(t, false, other.ID == endpoint.ID || otherSecret == secret, "two webhooks share a secret")
	})
	t.Run("Go's library verifies it", func(t *testing.T) {
		equal(t, "verified", goVerifies(t, secret, c), "as it came")
		forged := c
		forged.Body = bytes.Replace(c.Body, []byte("Lincoln"), []byte("Einstein"), 1)
		equal(t, "no matching signature found", goVerifies(t, secret, forged), "another body")
	})
	t.Run("JavaScript's library verifies it", func(t *testing.T) {
		forged := c
		forged.Body = bytes.Replace(c.Body, []byte("Lincoln"), []byte("Einstein"), 1)
		equal(t, "true false", nodeVerifies(t, []string{secret, secret}, []call{c, forged}), "the original, and another body")
	})
}

func TestBothSecretsSignForADay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := receive(t, nil)
	endpoint, old := b.add(r.URL)
	rotated, fresh, err := b.service.Rotate(t.Context(), me, endpoint.ID)
	check(t, err)
	equal(t, false, fresh.Reveal() == old, "the secret stays")
	equal(t, 24*time.Hour, rotated.PreviousUntil.Sub(*rotated.RotatedAt), "how long the old secret is used")
	send := func() call {
		t.Helper()
		b.emit(catalog.UserCreated)
		all := b.deliveries(endpoint.ID)
		b.deliver(all[len(all)-1].ID)
		calls := r.all()
		return calls[len(calls)-1]
	}

	both := send()
	equal(t, 2, len(strings.Fields(both.Header.Get("webhook-signature"))), "signatures")
	equal(t, "verified", goVerifies(t, old, both), "the old secret")
	equal(t, "verified", goVerifies(t, fresh.Reveal(), both), "the new secret")

	b.exec("update webhook_endpoints set rotated_at = now() - interval '24 hours'")
	alone := send()
	equal(t, "no matching signature found", goVerifies(t, old, alone), "the old secret after a day")
	equal(t, "verified", goVerifies(t, fresh.Reveal(), alone), "the new secret after a day")
	equal(t, "true true false true", nodeVerifies(t, []string{old, fresh.Reveal(), old, fresh.Reveal()}, []call{both, both, alone, alone}),
		"in JavaScript")

	again, newest, err := b.service.Rotate(t.Context(), me, endpoint.ID)
	check(t, err)
	equal(t, 2, again.Rotation, "rotation")
	third := send()
	equal(t, "verified", goVerifies(t, fresh.Reveal(), third), "the second secret after the third")
	equal(t, "verified", goVerifies(t, newest.Reveal(), third), "the third secret")
	equal(t, "no matching signature found", goVerifies(t, old, third), "the first secret")
}

// goVerifies returns what a receiver in Go finds.
func goVerifies(t *testing.T, secret string, c call) string {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(secret)
	check(t, err)
	err = verifier.Verify(c.Body, c.Header)
	if errors.Is(err, standardwebhooks.ErrNoMatchingSignature) {
		return standardwebhooks.ErrNoMatchingSignature.Error()
	}
	check(t, err)
	return "verified"
}

// nodeVerifies returns what a receiver in JavaScript finds for each, as words.
func nodeVerifies(t *testing.T, secrets []string, calls []call) string {
	t.Helper()
	type request struct {
		Secret  string            `json:"secret"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}
	requests := make([]request, len(calls))
	for i, c := range calls {
		requests[i] = request{Secret: secrets[i], Headers: map[string]string{}, Body: string(c.Body)}
		for name := range c.Header {
			requests[i].Headers[strings.ToLower(name)] = c.Header.Get(name)
		}
	}
	input, err := json.Marshal(requests)
	check(t, err)
	command := exec.CommandContext(t.Context(), "node", "testdata/verify.mjs", npmtest.Install(t, "standardwebhooks@1.1.1"))
	command.Stdin = bytes.NewReader(input)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, out)
	}
	var payloads []*struct{ Type string }
	check(t, json.Unmarshal(out, &payloads))
	var found []string
	for _, payload := range payloads {
		found = append(found, strconv.FormatBool(payload != nil && payload.Type != ""))
	}
	return strings.Join(found, " ")
}
