// Package signup takes a school from a form to a ready tenant, and resumes wherever it stopped.
//
// A sign-up is a saga of four steps: reserve (one statement in the catalog: sign-up, user, and a spare tenant), identity
// (the login at the identity provider, made with an id of ours), provision (only when no spare was left), finish (one
// statement). Its row says how far it is and until when its present worker holds it. Whoever finds a lease that has ended,
// the same request repeated or the reconciler, goes on from there: an identity that exists leads forward to a ready
// school, one that does not leads back to nothing. The password lives in the request alone, so only the request itself
// can make the identity.
//
// The package also keeps the spares in stock and provisions a tenant again for an operator, because both are the saga's
// provisioning step by itself.
package signup

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/killpoint"
	"homeroom/tenant"
)

// Queue takes work that must be done later, in the transaction that makes it necessary.
type Queue interface {
	// FinishSignupTx has [Service.Settle] called for the sign-up after the delay.
	FinishSignupTx(ctx context.Context, tx pgx.Tx, signup uuid.UUID, delay time.Duration) error
	// ReprovisionTx has [Service.RunReprovision] called for the tenant.
	ReprovisionTx(ctx context.Context, tx pgx.Tx, tenant uuid.UUID, kept string) error
}

// Config is what a Service needs.
type Config struct {
	Catalog  Registry
	Servers  Servers
	Identity identity.Provider
	Queue    Queue
	// Key is the server's secret; the hash that recognises a repeated request is derived from it.
	Key []byte
	// Spares is how many spare tenants each server keeps; 0 keeps none. A negative number is an error.
	Spares int
	// Wait is how long a request waits for a tenant that must be built, before it is told that the work goes on.
	// Defaults to 8 s.
	Wait time.Duration
	// IdentityTimeout bounds the identity step, all its attempts together. Defaults to 10 s.
	IdentityTimeout time.Duration
	// Lease is how long a sign-up belongs to its worker without a sign of life. It must be longer than IdentityTimeout.
	// Defaults to 15 s.
	Lease time.Duration
	// Logger is where the causes go that callers are not told. Defaults to slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Wait == 0 {
		c.Wait = killpoint.Hasten(8 * time.Second)
	}
	if c.IdentityTimeout == 0 {
		c.IdentityTimeout = killpoint.Hasten(10 * time.Second)
	}
	if c.Lease == 0 {
		c.Lease = killpoint.Hasten(15 * time.Second)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Catalog == nil || c.Identity == nil || c.Queue == nil:
		return errors.New("signup needs a catalog, an identity provider and a queue")
	case c.Servers == nil || len(c.Servers.Names()) == 0:
		return errors.New("signup needs at least one server for tenants")
	case len(c.Key) < 32:
		return errors.New("signup needs a key of at least 32 bytes")
	case c.Spares < 0:
		return errors.New("the number of spares cannot be negative")
	case c.Lease <= c.IdentityTimeout:
		return errors.New("the lease must be longer than the identity step may take")
	}
	return nil
}

// Service signs schools up. It may be used from many goroutines, and in many processes on one catalog.
type Service struct {
	cfg     Config
	hashKey []byte
	// claimed wakes the keeper of spares.
	claimed chan struct{}
}

// New makes a Service. Nothing runs until its methods are called.
func New(cfg Config) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	hashKey, err := hkdf.Key(sha256.New, cfg.Key, nil, "homeroom sign-up request hash", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return &Service{cfg: cfg, hashKey: hashKey, claimed: make(chan struct{}, 1)}, nil
}

// hash recognises a repetition of a request. It is keyed, and leaves the password out: a plain hash of the whole would
// let whoever reads the catalog guess passwords.
func (s *Service) hash(req Request) []byte {
	fields, err := json.Marshal([]string{req.Email, req.SchoolName, req.GivenName, req.FamilyName, req.Name})
	if err != nil {
		panic(err) // strings
	}
	h := hmac.New(sha256.New, s.hashKey)
	h.Write(fields)
	return h.Sum(nil)
}

// Begin signs a school up. Its outcome is a ready school, or, where a tenant must be built and that takes long, the word
// that the work goes on without the caller.
//
// It fails with a *[ValidationError], [ErrEmailExists], [ErrInProgress], [ErrKeyReused], a *[identity.Rejected] of the
// provider, or an *[Unavailable]. After each of these but ErrInProgress and an Unavailable nothing of the sign-up is
// left that anybody could notice; a tenant may be kept back for a while. The end of ctx stops nothing once the identity step has begun.
func (s *Service) Begin(ctx context.Context, req Request) (Outcome, error) {
	req, err := req.Normalise()
	if err != nil {
		return Outcome{}, err
	}
	// A conflict with a sign-up that died settles that one, and leaves the way free at most once for the key and once for
	// the e-mail.
	for range 3 {
		held, log, err := s.reserve(ctx, req)
		if err == nil {
			killpoint.Here("signup.reserved")
			return s.run(ctx, req, newJob(held, req, log), false)
		}
		if errors.Is(err, catalog.ErrNoRoom) {
			return s.repeatWithoutRoom(ctx, req, err)
		}
		if !errors.Is(err, catalog.ErrKeyTaken) && !errors.Is(err, catalog.ErrEmailTaken) {
			return Outcome{}, s.unavailable(err)
		}
		outcome, again, err := s.repeat(ctx, req)
		if !again {
			return outcome, err
		}
	}
	return Outcome{}, ErrInProgress
}

// reserve is the first step.
func (s *Service) reserve(ctx context.Context, req Request) (catalog.Held, log, error) {
	var log log
	log.begin(stepReserve, 1)
	log.end("")
	log.begin(stepIdentity, 1)
	id, schema := tenant.NewID(), s.cfg.Servers.Migrations()
	held, err := s.cfg.Catalog.Reserve(ctx, catalog.Reservation{
		SignupID: uuid.New(), UserID: uuid.Must(uuid.NewV7()), TenantID: id.UUID(), Database: id.Database(),
		IdempotencyKey: req.IdempotencyKey, RequestHash: s.hash(req),
		Email: req.Email, SchoolName: req.SchoolName,
		GivenName: req.GivenName, FamilyName: req.FamilyName, Name: req.Name,
		Slug: Slug(req.SchoolName), Lineage: schema.Lineage(), SchemaVersion: schema.Latest(), Servers: s.cfg.Servers.Names(),
		Steps: log.json(), Lease: s.cfg.Lease,
	})
	log.correct(stepReserve)
	return held, log, err
}

// repeat answers a request whose key or e-mail is known. again means that what stood in the way is gone.
func (s *Service) repeat(ctx context.Context, req Request) (outcome Outcome, again bool, err error) {
	if req.IdempotencyKey != "" {
		row, err := s.cfg.Catalog.SignupByKey(ctx, req.IdempotencyKey)
		if err == nil {
			return s.repeatKey(ctx, req, row)
		}
		if !errors.Is(err, catalog.ErrNotFound) {
			return Outcome{}, false, s.unavailable(err)
		}
	}
	return s.repeatEmail(ctx, req)
}

// repeatWithoutRoom answers a request for which there is no room, unless it is a repetition, which needs none.
func (s *Service) repeatWithoutRoom(ctx context.Context, req Request, cause error) (Outcome, error) {
	if req.IdempotencyKey == "" {
		return Outcome{}, s.unavailable(cause)
	}
	row, err := s.cfg.Catalog.SignupByKey(ctx, req.IdempotencyKey)
	if errors.Is(err, catalog.ErrNotFound) {
		return Outcome{}, s.unavailable(cause)
	}
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	outcome, _, err := s.repeatKey(ctx, req, row)
	return outcome, err
}

// repeatKey answers a request whose key is known.
func (s *Service) repeatKey(ctx context.Context, req Request, row catalog.Signup) (Outcome, bool, error) {
	if !hmac.Equal(row.RequestHash, s.hash(req)) {
		return Outcome{}, false, ErrKeyReused
	}
	switch row.Status {
	case catalog.SignedUp:
		result, err := stored(row)
		return Outcome{SignupID: row.ID, Status: row.Status, Result: result}, false, err
	case catalog.Provisioning, catalog.AwaitingVerification:
		return Outcome{SignupID: row.ID, Status: row.Status}, false, nil
	case catalog.Failed: // parked: one that was refused has given its key back
		return Outcome{}, false, ErrParked
	}
	row, err := s.cfg.Catalog.TakeOver(ctx, row.ID, s.cfg.Lease)
	if errors.Is(err, catalog.ErrStateChanged) {
		return Outcome{}, false, ErrInProgress
	}
	if err != nil {
		return Outcome{}, false, s.unavailable(err)
	}
	killpoint.Here("signup.taken_over")
	job, err := s.load(ctx, row)
	if err != nil {
		return Outcome{}, false, s.unavailable(err)
	}
	job.log.begin(stepIdentity, row.LeaseEpoch)
	outcome, err := s.run(ctx, req, job, true)
	return outcome, false, err
}

// repeatEmail answers a request whose e-mail is known. One that belongs to a sign-up whose worker died is settled here
// and now, so that nobody waits for the reconciler to free an address.
func (s *Service) repeatEmail(ctx context.Context, req Request) (Outcome, bool, error) {
	user, err := s.cfg.Catalog.UserByEmail(ctx, req.Email)
	if errors.Is(err, catalog.ErrNotFound) {
		return Outcome{}, true, nil // just undone
	}
	if err != nil {
		return Outcome{}, false, s.unavailable(err)
	}
	row, err := s.cfg.Catalog.SignupByUser(ctx, user.ID)
	if err == nil && (row.Status == catalog.Expired || row.Status == catalog.Failed && row.TenantID == nil) {
		return Outcome{}, true, nil // just undone
	}
	if err == nil && row.Status == catalog.Pending {
		row, err = s.cfg.Catalog.TakeOver(ctx, row.ID, s.cfg.Lease)
		if err == nil {
			s.settle(context.WithoutCancel(ctx), row)
			return Outcome{}, true, nil
		}
	}
	if err != nil && !errors.Is(err, catalog.ErrNotFound) && !errors.Is(err, catalog.ErrStateChanged) {
		return Outcome{}, false, s.unavailable(err)
	}
	return Outcome{}, false, ErrEmailExists
}

// View tells how a sign-up stands. It fails with [catalog.ErrNotFound].
func (s *Service) View(ctx context.Context, id uuid.UUID) (View, error) {
	row, err := s.cfg.Catalog.Signup(ctx, id)
	if err != nil {
		return View{}, err
	}
	return view(row)
}

// Available tells the slug that a school of this name would get, and whether nobody has it. It fails with a
// *[ValidationError].
func (s *Service) Available(ctx context.Context, schoolName string) (slug string, free bool, err error) {
	var v validation
	name := v.name("name", schoolName, 2, true)
	if len(v.fields) > 0 {
		return "", false, &ValidationError{Fields: v.fields}
	}
	slug = Slug(name)
	free, err = s.cfg.Catalog.SlugFree(ctx, slug)
	return slug, free, err
}
