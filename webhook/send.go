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

// maxResponseBytes is how much of a receiver's answer is read. It says nothing that we want to know, but a receiver whose
// answer is not read at all may take that for an error.
const maxResponseBytes = 4 << 10

// message is what is sent: once for a ping, at each attempt for a delivery.
type message struct {
	id       string
	endpoint catalog.WebhookEndpoint
	body     []byte
	at       time.Time
}

// Outcome is how an attempt went.
type Outcome struct {
	// Status is what the receiver answered; 0 where it did not.
	Status int
	// Problem is why that is a failure, in a safe sentence; empty for a success.
	Problem string
	// Took is how long it was.
	Took time.Duration

	// retryAfter is how long the receiver asks to be left alone.
	retryAfter time.Duration
}

// OK tells whether the receiver has it.
func (o Outcome) OK() bool { return o.Problem == "" }

// gone tells whether the receiver wants nothing any more.
func (o Outcome) gone() bool { return o.Status == http.StatusGone }

// newClient makes a client that follows no redirect, uses no proxy, and asks control about every connection. There is one
// for each request: a connection that is kept would be one that nobody asks about.
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

// send makes one attempt. It fails only when ctx ends: what has become of the attempt is unknown then.
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
	_, _ = io.CopyN(io.Discard, res.Body, maxResponseBytes) // the status has come, and it is all that counts
	return outcomeOf(res, took), nil
}

// request builds the request, with a signature for each secret that is good.
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

// judge tells a success from a failure.
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

// word says why there was no answer. Nothing in it is the receiver's own words, and the URL, which may hold a token of the
// receiver's, is not repeated.
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
