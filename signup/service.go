// Package signup takes a school from a form to a ready tenant, and resumes wherever it stopped.
//
// A sign-up is a saga of four steps: reserve (one statement in the catalog: sign-up, user, and a spare tenant),
// identity (an account at the identity provider, created with an id of ours), provision (only when no spare was left),
// finish (one statement). Its row stores how far it is, and until when its current worker has the lease. When a lease
// has ended, a repetition of the request or the reconciler resumes the sign-up: if the identity exists, the sign-up is
// finished; otherwise it is undone. The password exists only in the request, so only the request itself can create the
// identity.
//
// The package also refills the pool of spare tenants and reprovisions a tenant for an operator, because both are the
// saga's provisioning step alone.
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
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/killpoint"
	"homeroom/internal/setting"
	"homeroom/tenant"
)

// Queue takes work that must be done later, in the same transaction as the change that needs it.
type Queue interface {
	// ReprovisionTx enqueues a job that calls [Service.RunReprovision] for the tenant.
	ReprovisionTx(ctx context.Context, tx pgx.Tx, tenant uuid.UUID, archive string) error
}

// Config is the configuration of a Service.
type Config struct {
	Catalog  Store
	Servers  Servers
	Identity identity.Provider
	Queue    Queue
	// Key is the server's secret, from which the key of the hash that recognises a repeated request is derived.
	Key []byte
	// Spares is how many spare tenants each server keeps; 0 keeps none. A negative number is an error.
	Spares int
	// ResponseTimeout is how long a request waits for a tenant that must be built, before it is answered with
	// "accepted". Defaults to 8 s.
	ResponseTimeout time.Duration
	// IdentityTimeout limits the identity step, with all its attempts. Defaults to 10 s.
	IdentityTimeout time.Duration
	// Lease is how long a worker has a sign-up without a renewal. It must be longer than IdentityTimeout. Defaults to
	// 15 s.
	Lease time.Duration
	// Rules are the rules for a sign-up. The identity provider sets NoPassword.
	Rules Rules
	// Mode says who may sign up a school. Defaults to [Open].
	Mode Mode
	// VerifyFirst lets the sign-up of a school wait, without a tenant, until its e-mail has been confirmed.
	VerifyFirst bool
	// HideAccounts hides whether an e-mail has an account: the answer and its time are the same in both cases, and a
	// mail informs the owner. It requires VerifyFirst.
	HideAccounts bool
	// WaitTimeout is how long a sign-up waits for its e-mail to be confirmed, or for an operator. Defaults to 48 h.
	WaitTimeout time.Duration
	// Settings names the setting of the tenants' migrations, TenantMigrations, in an error for operators. Defaults to that name.
	Settings setting.Names
	// Logger receives the causes that callers do not see. Defaults to slog.Default().
	Logger *slog.Logger
}

// Mode says who may sign up a school.
type Mode string

// The modes.
const (
	// Open lets everybody sign up.
	Open Mode = "open"
	// ByInvitation lets invited people sign up.
	ByInvitation Mode = "invite"
	// WithApproval lets everybody sign up; the sign-up then waits for an operator's approval.
	WithApproval Mode = "approve"
	// Closed lets nobody sign up. People can still be invited to existing schools.
	Closed Mode = "closed"
)

func (c Config) withDefaults() Config {
	if c.ResponseTimeout == 0 {
		c.ResponseTimeout = killpoint.ScaleTime(8 * time.Second)
	}
	if c.IdentityTimeout == 0 {
		c.IdentityTimeout = killpoint.ScaleTime(10 * time.Second)
	}
	if c.Lease == 0 {
		c.Lease = killpoint.ScaleTime(15 * time.Second)
	}
	c.Rules.NoPassword = c.Identity != nil && !identity.TakesPassword(c.Identity)
	if c.Mode == "" {
		c.Mode = Open
	}
	if c.WaitTimeout == 0 {
		c.WaitTimeout = 48 * time.Hour
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
	case !c.Rules.Fields.valid():
		return errors.New("a field of the sign-up is not known, or neither optional nor required")
	case !slices.Contains([]Mode{Open, ByInvitation, WithApproval, Closed}, c.Mode):
		return fmt.Errorf("%q is not a sign-up mode", c.Mode)
	case c.WaitTimeout < time.Minute:
		return errors.New("a sign-up must be allowed to wait for a minute at least")
	}
	return c.validateAbilities()
}

// validateAbilities checks that the identity provider supports the configuration.
func (c Config) validateAbilities() error {
	_, links := c.Identity.(identity.AccountLinker)
	_, sets := c.Identity.(identity.PasswordSetter)
	switch {
	case c.HideAccounts && !c.VerifyFirst:
		return errors.New("whether an e-mail has an account can only be concealed when every sign-up waits for its e-mail to be confirmed")
	case c.VerifyFirst && !c.Rules.NoPassword && !sets:
		return errors.New("schools cannot wait for a confirmed e-mail: this identity provider cannot be told the password that is chosen then")
	case (c.VerifyFirst || c.Mode == WithApproval) && identity.SupportsMetadata(c.Identity) && !links:
		return errors.New("schools cannot wait: this identity provider cannot be told later which school a login belongs to")
	}
	return nil
}

// Rules returns the rules for a sign-up.
func (s *Service) Rules() Rules { return s.cfg.Rules }

// Service signs up schools. It is safe for use by many goroutines, and by many processes on one catalog.
type Service struct {
	cfg     Config
	hashKey []byte
	// linkKey is the key of the secrets in the links of mails.
	linkKey []byte
	// wake wakes the spare pool refiller of a server.
	wake     map[string]chan struct{}
	discards discardRetries
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
	linkKey, err := hkdf.Key(sha256.New, cfg.Key, nil, "homeroom links in mails", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return &Service{cfg: cfg, hashKey: hashKey, linkKey: linkKey, wake: newWakeChannels(cfg.Servers.Names())}, nil
}

// hash returns a hash that recognises a repetition of a request. It is keyed, and excludes the password: with a plain
// hash of the whole request, a reader of the catalog could guess passwords.
func (s *Service) hash(req Request) []byte {
	parts := []string{req.Email, req.SchoolName, req.GivenName, req.FamilyName, req.Name}
	if len(req.Profile) > 0 || req.Account != nil || req.Invitation != "" { // else the same hash as that of older versions
		for _, field := range slices.Sorted(maps.Keys(req.Profile)) {
			parts = append(parts, field, req.Profile[field])
		}
		parts = append(parts, req.accountID(), req.Invitation)
	}
	fields, err := json.Marshal(parts)
	if err != nil {
		panic(err) // only strings
	}
	h := hmac.New(sha256.New, s.hashKey)
	h.Write(fields)
	return h.Sum(nil)
}

// reserveAttempts is how often a reservation is tried. A conflict with a sign-up whose worker died resolves that
// sign-up: at most one conflict is about the key, and one about the e-mail.
const reserveAttempts = 3

// Begin signs up a school. Its outcome is a ready school, or, if a tenant must be built and that takes long, a sign-up
// that continues without the caller.
//
// It fails with a *[ValidationError], [ErrEmailExists], [ErrInProgress], [ErrKeyReused], a *[identity.Rejected] of the
// provider, or an *[Unavailable]. After each of these except ErrInProgress and Unavailable nothing visible of the
// sign-up is left; a tenant may be unavailable for a while. Once the identity step has begun, the end of ctx does not
// stop it.
func (s *Service) Begin(ctx context.Context, req Request) (Outcome, error) {
	req, err := req.Normalise(s.Rules())
	if err != nil {
		return Outcome{}, err
	}
	plan, err := s.plan(ctx, req)
	if errors.Is(err, ErrInvitationGone) && req.IdempotencyKey != "" { // perhaps this request has accepted it
		return s.repeatKnown(ctx, req, err)
	}
	if err != nil {
		return Outcome{}, err
	}
	if plan.gate == catalog.AwaitingVerification {
		return s.beginUnconfirmed(ctx, req, plan)
	}
	for range reserveAttempts {
		held, log, err := s.reserve(ctx, req, plan)
		if err == nil {
			killpoint.Here("signup.reserved")
			return s.run(ctx, req, newJob(held, req, plan.role, log), false)
		}
		if errors.Is(err, catalog.ErrNoCapacity) {
			return s.repeatKnown(ctx, req, s.unavailable(err))
		}
		if errors.Is(err, catalog.ErrNotFound) {
			return Outcome{}, ErrInvitationGone // the invitation's school has been archived or deleted
		}
		if !errors.Is(err, catalog.ErrKeyTaken) && !errors.Is(err, catalog.ErrEmailTaken) && !errors.Is(err, catalog.ErrIdentityTaken) {
			return Outcome{}, s.unavailable(err)
		}
		outcome, free, err := s.repeat(ctx, req)
		if !free {
			return outcome, err
		}
	}
	return Outcome{}, ErrInProgress
}

// reserve is the first step.
func (s *Service) reserve(ctx context.Context, req Request, plan plan) (catalog.Reservation, stepLog, error) {
	reservation, log := s.reservation(req, plan)
	log.end("")
	log.begin(stepIdentity, 1)
	reservation.Steps = log.json()
	held, err := s.cfg.Catalog.Reserve(ctx, reservation)
	log.correct(stepReserve)
	return held, log, err
}

// reservation returns what a request needs of the catalog, and the log of its first step.
func (s *Service) reservation(req Request, plan plan) (catalog.ReserveParams, stepLog) {
	var log stepLog
	log.begin(stepReserve, 1)
	reservation := s.tenantReservation(plan.schoolName)
	reservation.SignupID, reservation.UserID = uuid.New(), uuid.Must(uuid.NewV7())
	reservation.IdempotencyKey, reservation.RequestHash = req.IdempotencyKey, s.hash(req)
	reservation.Email, reservation.Person, reservation.Locale, reservation.IdentityID = req.Email, req.Person, req.Locale, req.accountID()
	reservation.Kind, reservation.Role, reservation.JoinTenant, reservation.InvitationID = plan.kind, plan.role, plan.tenant, plan.invitation
	reservation.Waits = plan.gate != ""
	return reservation, log
}

// tenantReservation is the part of a reservation for the tenant.
func (s *Service) tenantReservation(schoolName string) catalog.ReserveParams {
	id, schema := tenant.NewID(), s.cfg.Servers.Migrations()
	return catalog.ReserveParams{
		TenantID: id.UUID(), Database: id.Database(), SchoolName: schoolName, Slug: Slug(schoolName),
		Lineage: schema.Lineage(), SchemaVersion: schema.Latest(), Servers: s.cfg.Servers.Names(), Lease: s.cfg.Lease,
	}
}

// View returns the state of a sign-up. It fails with [catalog.ErrNotFound].
func (s *Service) View(ctx context.Context, id uuid.UUID) (View, error) {
	row, err := s.cfg.Catalog.Signup(ctx, id)
	if err != nil {
		return View{}, err
	}
	return view(row)
}

// Available returns the slug that a school with this name would get, and whether it is free. It fails with a
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
