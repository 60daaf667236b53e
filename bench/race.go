package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// variant is one implementation of a piece of work.
type variant struct {
	name string
	// clients is the number of parallel clients, pieces the number of pieces of work in a turn by all of them.
	clients, pieces int
	// units is the number of units in a piece, for the rate. Defaults to 1.
	units int
	// prepare runs before each turn, not measured. It may be nil.
	prepare func(ctx context.Context) error
	// start runs right before each turn, after the checkpoint and not measured. It may be nil.
	start func(ctx context.Context) error
	// rest runs after each turn, not measured. It may be nil.
	rest func(ctx context.Context) error
	// work does one piece. elsewhere is the part of its time that others needed.
	work func(ctx context.Context) (elsewhere time.Duration, err error)
	// settle runs after the last turn, for parts of own that are known only then. It may be nil.
	settle func(ctx context.Context) error
	// ownName is the name of the time without elsewhere; empty if it is not reported.
	ownName string

	mu         sync.Mutex
	total, own []time.Duration
	rates      []float64 // one for each turn
}

// race runs all variants in turns, round after round, each round in another order, so that other load on the machine,
// a growing catalog and the previous variant's state of the file system affect all in the same way. The first round
// is a warm-up, and is not counted. clean, which may be nil, runs before each round, not measured.
func (b *testbed) race(
	ctx context.Context, title string, rounds int, clean func(context.Context) error, all []*variant,
) (results, error) {
	order := rand.New(rand.NewPCG(1, 2)) // the same in every run
	for round := range rounds + 1 {
		if clean != nil {
			if err := clean(ctx); err != nil {
				return results{}, err
			}
		}
		if round == 0 {
			b.logf("%s: warming up", title)
		} else {
			b.logf("%s: round %d of %d", title, round, rounds)
		}
		for _, i := range order.Perm(len(all)) {
			c := all[i]
			if err := b.runOnce(ctx, c, round > 0); err != nil {
				return results{}, fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	found := results{title: title}
	for _, c := range all {
		if c.settle != nil {
			if err := c.settle(ctx); err != nil {
				return results{}, fmt.Errorf("%s: %w", c.name, err)
			}
		}
		found.lines = append(found.lines, c.lines()...)
	}
	return found, nil
}

// runOnce is one turn of a variant.
func (b *testbed) runOnce(ctx context.Context, c *variant, counted bool) (err error) {
	if c.prepare != nil {
		if err := c.prepare(ctx); err != nil {
			return err
		}
	}
	if err := b.checkpoint(ctx); err != nil {
		return err
	}
	if c.start != nil {
		if err := c.start(ctx); err != nil {
			return err
		}
	}
	if c.rest != nil {
		defer func() { err = errors.Join(err, c.rest(ctx)) }()
	}
	var taken atomic.Int64
	group, groupCtx := errgroup.WithContext(ctx)
	began := time.Now()
	for range c.clients {
		group.Go(func() error {
			for int(taken.Add(1)) <= c.pieces {
				if err := c.piece(groupCtx, counted); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if counted {
		c.rates = append(c.rates, float64(c.pieces*max(c.units, 1))/time.Since(began).Seconds())
	}
	return nil
}

func (c *variant) piece(ctx context.Context, counted bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	began := time.Now()
	elsewhere, err := c.work(ctx)
	took := time.Since(began)
	if err != nil || !counted {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total, c.own = append(c.total, took), append(c.own, took-elsewhere)
	return nil
}

// eachRound returns the lowest and the highest ratio of the single rounds. If they are far apart, the machine was too
// busy for a reliable ratio of the medians. The unit is % or ×.
func eachRound(value, over []float64, unit string) []verdict {
	whole := 1.0
	if unit == "%" {
		whole = 100
	}
	ratios := make([]float64, len(value))
	for i := range value {
		ratios[i] = whole * value[i] / over[i]
	}
	return []verdict{
		atLeast("  lowest in a round", slices.Min(ratios), unit, 0),
		atLeast("  highest in a round", slices.Max(ratios), unit, 0),
	}
}

// ownByRound is the median of our own time in each round, in milliseconds.
func (c *variant) ownByRound() []float64 {
	var medians []float64
	for round := range slices.Chunk(c.own, c.pieces) {
		medians = append(medians, describe("", 0, round).Median)
	}
	return medians
}

func (c *variant) lines() []line {
	l := describe(c.name, c.clients, c.total)
	l.Rate = median(c.rates)
	if c.ownName == "" {
		return []line{l}
	}
	return []line{l, describe(c.ownName, c.clients, c.own)}
}

func describe(name string, clients int, took []time.Duration) line {
	ms := make([]float64, len(took))
	for i, d := range took {
		ms[i] = d.Seconds() * 1000
	}
	return line{What: name, Clients: clients, N: len(ms), Median: median(ms), P95: percentile(ms, 0.95)}
}

func median(values []float64) float64 { return percentile(values, 0.5) }

// percentile interpolates between the two nearest values.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := p * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (sorted[above]-sorted[below])*(at-float64(below))
}
