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

// FanOut creates jobs for events, in the transaction that marks the events as relayed. It ignores events that it has no
// jobs for. After an error the events are relayed again, to all FanOuts.
type FanOut func(ctx context.Context, tx pgx.Tx, events []catalog.OutboxEvent) error

// RelayConfig is the configuration of a Relay.
type RelayConfig struct {
	Catalog *catalog.Store
	// FanOuts are called with every event, in order.
	FanOuts []FanOut
	// Interval is the time between two checks without a [Relay.Wake]. Defaults to 1 s.
	Interval time.Duration
	// Debounce is the time between a [Relay.Wake] and the check, so that several sign-ups in a row share
	// one transaction. Defaults to 200 ms.
	Debounce time.Duration
	// Logger gets errors. Defaults to slog.Default().
	Logger *slog.Logger
}

// Relay relays each event once. Processes that relay at the same time get different events.
type Relay struct {
	cfg  RelayConfig
	wake chan struct{}
}

const (
	// relayBatchSize is how many events are relayed in one transaction.
	relayBatchSize = 200
	// relayTimeout bounds such a transaction, which only writes rows.
	relayTimeout = 20 * time.Second
	// relayPause is the pause after a failure, so that the log stays readable.
	relayPause = 5 * time.Second
)

// NewRelay creates a Relay.
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

// Wake makes the relay check for events soon. It returns at once, and is safe for concurrent use.
func (r *Relay) Wake() {
	select {
	case r.wake <- struct{}{}:
	default: // a check is due already
	}
}

// Run relays events until ctx ends.
func (r *Relay) Run(ctx context.Context) {
	ticker := time.NewTicker(r.cfg.Interval)
	defer ticker.Stop()
	for {
		if _, err := r.Drain(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Error("relay events", "error", err)
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
			case <-r.wake: // covered by the next check
			default:
			}
		case <-ticker.C:
		}
	}
}

// Drain relays the events that no other process is relaying, and returns their number.
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
