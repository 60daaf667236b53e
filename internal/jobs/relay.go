package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
	"homeroom/internal/wait"
)

// FanOutTx makes jobs of what has happened, in the transaction that marks it as handed on, and passes over what is nothing to
// it. An error of one leaves the events to be handed on again, to all of them.
type FanOut func(ctx context.Context, tx pgx.Tx, events []catalog.OutboxEvent) error

// RelayConfig is what a Relay needs.
type RelayConfig struct {
	Catalog *catalog.Store
	// FanOuts are given every event, in their order.
	FanOuts []FanOut
	// Interval is how often it looks without being nudged. Defaults to 1 s.
	Interval time.Duration
	// Debounce is how long it waits after a nudge for more to happen, so that people who sign up one after the other do not each
	// have a transaction beside them that hands on what the one before has made happen. Defaults to 200 ms.
	Debounce time.Duration
	// Logger is told what goes wrong. Defaults to slog.Default().
	Logger *slog.Logger
}

// Relay hands on each event once. Processes that relay at the same time get different ones.
type Relay struct {
	cfg  RelayConfig
	wake chan struct{}
}

const (
	// relayBatchSize is how many events are handed on in one transaction.
	relayBatchSize = 200
	// relayTimeout bounds such a transaction: it only writes rows.
	relayTimeout = 20 * time.Second
	// relayPause is how long a relay that has failed waits, so that its log stays readable.
	relayPause = 5 * time.Second
)

// NewRelay makes a Relay.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	if cfg.Catalog == nil {
		return nil, errors.New("the relay needs a catalog")
	}
	if cfg.Interval == 0 {
		cfg.Interval = time.Second
	}
	if cfg.Debounce == 0 {
		cfg.Debounce = killpoint.ScaleTime(200 * time.Millisecond)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Relay{cfg: cfg, wake: make(chan struct{}, 1)}, nil
}

// Wake has it look soon. It returns at once, and may be called from anywhere.
func (r *Relay) Wake() {
	select {
	case r.wake <- struct{}{}:
	default: // it is about to look anyway
	}
}

// Run hands on events until ctx ends.
func (r *Relay) Run(ctx context.Context) {
	ticker := time.NewTicker(r.cfg.Interval)
	defer ticker.Stop()
	for {
		if _, err := r.Drain(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Error("hand on events", "error", err)
			if wait.For(ctx, relayPause) != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			if wait.For(ctx, r.cfg.Debounce) != nil {
				return
			}
			select {
			case <-r.wake: // it is about to look at that too
			default:
			}
		case <-ticker.C:
		}
	}
}

// Drain hands on the events that nobody else is handing on, and returns how many there were.
func (r *Relay) Drain(ctx context.Context) (int, error) {
	for total := 0; ; {
		n, err := r.relayBatch(ctx)
		total += n
		if err != nil || n < relayBatchSize {
			return total, err
		}
	}
}

func (r *Relay) relayBatch(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	n, err := r.cfg.Catalog.RelayEvents(ctx, relayBatchSize, func(tx pgx.Tx, events []catalog.OutboxEvent) error {
		for _, fanOut := range r.cfg.FanOuts {
			if err := fanOut(ctx, tx, events); err != nil {
				return err
			}
		}
		killpoint.Here("relay.fanned_out")
		return nil
	})
	if n > 0 && err == nil {
		killpoint.Here("relay.handed_on")
	}
	return n, err
}
