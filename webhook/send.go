package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"homeroom/catalog"
	"homeroom/internal/secret"
	"homeroom/internal/wait"
)

// maxResponseBytes is how much of a response's body is read. The body is ignored, but a receiver may report an error if
// it is not read.
const maxResponseBytes = 4 << 10

// message is one signed request: a ping, or an attempt of a delivery.
type message struct {
	id       string
	endpoint catalog.WebhookEndpoint
	body     []byte
	at       time.Time
}

// Outcome is the result of an attempt.
type Outcome struct {
	// Status is the response's status; 0 if there was no response.
	Status int
	// Problem is the reason of a failure, without text of the receiver; empty for a success.
	Problem string
	// Took is how long the attempt took.
	Took time.Duration

	// retryAfter is the response's Retry-After.
	retryAfter time.Duration
}

// OK reports whether the receiver has accepted the event.
func (o Outcome) OK() bool { return o.Problem == "" }

// gone reports whether the receiver answered 410.
func (o Outcome) gone() bool { return o.Status == http.StatusGone }

// newClient returns a client that follows no redirects, uses no proxy, and checks every connection with control. Each
// request has a new connection: one that is kept alive would not be checked again.
func newClient(cfg Config, control func(network, address string, conn syscall.RawConn) error) *http.Client {
	dialer := &net.Dialer{Timeout: cfg.Timeout, Resolver: cfg.Resolver, Control: control}
	return &http.Client{
		Timeout: cfg.Timeout,
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send makes one attempt. It fails only when ctx ends: the outcome is unknown then.
func (s *Service) send(ctx context.Context, m message) (Outcome, error) {
	req, err := s.request(ctx, m)
	if err != nil {
		return Outcome{Problem: err.Error()}, nil
	}
	client := s.client[req.URL.Scheme]
	if client == nil {
		return Outcome{Problem: "its URL cannot be called"}, nil
	}
	began := time.Now()
	res, err := client.Do(req)
	took := time.Since(began)
	if ctx.Err() != nil {
		return Outcome{}, ctx.Err()
	}
	if err != nil {
		return Outcome{Problem: s.describeError(err), Took: took}, nil
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxResponseBytes) // only the status matters
	return outcomeOf(res, took), nil
}

// request builds the request, with a signature for each valid secret.
func (s *Service) request(ctx context.Context, m message) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.endpoint.URL, bytes.NewReader(m.body))
	if err != nil {
		return nil, errors.New("its URL cannot be called")
	}
	signature, err := sign(m, s.secrets(m.endpoint))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Homeroom-Webhooks/1")
	req.Header.Set(standardwebhooks.HeaderWebhookID, m.id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(m.at.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return req, nil
}

// sign writes a signature for each secret, the newest first.
func sign(m message, secrets []secret.String) (string, error) {
	signatures := make([]string, len(secrets))
	for i, key := range secrets {
		signer, err := standardwebhooks.NewWebhook(key.Reveal())
		if err == nil {
			signatures[i], err = signer.Sign(m.id, m.at, m.body)
		}
		if err != nil {
			return "", errors.New("its secret cannot be used to sign")
		}
	}
	return strings.Join(signatures, " "), nil
}

// outcomeOf returns the outcome of a response.
func outcomeOf(res *http.Response, took time.Duration) Outcome {
	o := Outcome{Status: res.StatusCode, Took: took}
	switch {
	case o.Status >= 200 && o.Status < 300:
		return o
	case o.Status >= 300 && o.Status < 400:
		o.Problem = fmt.Sprintf("it answered %d, and redirects are not followed", o.Status)
	default:
		o.Problem = fmt.Sprintf("it answered %d", o.Status)
	}
	o.retryAfter, _ = wait.RetryAfter(res.Header, time.Now())
	return o
}

// describeError says why there was no response. It has no text of the receiver, and not the URL, which may contain a token.
func (s *Service) describeError(err error) string {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	var (
		refused     *refusedError
		name        *net.DNSError
		certificate *tls.CertificateVerificationError
		timeout     net.Error
	)
	switch {
	case errors.As(err, &refused):
		return refused.Error()
	case errors.As(err, &name):
		return "its name cannot be found"
	case errors.As(err, &certificate):
		return "its certificate is not good"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("it did not answer within %s", s.cfg.Timeout)
	}
	return "the connection was lost before it answered"
}
