package httpapi

import (
	"context"
	"sync"
	"time"

	"homeroom/admission"
)

const (
	// maxStreams is how many event streams without a token a process serves at the same time, and maxOperatorStreams
	// how many with one: so neither can use up those of the other.
	maxStreams         = 200
	maxOperatorStreams = 50
	// maxOfNetwork and maxOfOne are how many streams without a token a client's network may have, and how many may
	// follow one sign-up.
	maxOfNetwork = 5
	maxOfOne     = 5
)

// streams counts the open event streams, and checks for changes once for all streams that follow the same thing.
type streams struct {
	every time.Duration

	mu    sync.Mutex
	open  map[string]int // by key; there are no zeros
	feeds map[string]*feed
}

func newStreams(every time.Duration) *streams {
	return &streams{every: every, open: map[string]int{}, feeds: map[string]*feed{}}
}

// share is a limit: at most this many open streams with a key.
type share struct {
	key  string
	most int
}

// sharesOf returns the limits that a stream counts towards.
func sharesOf(ctx context.Context, thing string) []share {
	if claimsOf(ctx).Subject != "" {
		return []share{{"operators", maxOperatorStreams}}
	}
	request := requestOf(ctx)
	shares := []share{{"everybody", maxStreams}, {"network " + request.caller.Network, maxOfNetwork}, {thing, maxOfOne}}
	if request.caller.Site != "" {
		shares = append(shares, share{"network " + request.caller.Site, maxOfNetwork * admission.NetworksPerSite})
	}
	return shares
}

// enter counts a stream. The returned function ends that; it is nil where a limit is reached.
func (s *streams) enter(shares []share) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, part := range shares {
		if s.open[part.key] >= part.most {
			return nil
		}
	}
	for _, part := range shares {
		s.open[part.key]++
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, part := range shares {
			if s.open[part.key]--; s.open[part.key] == 0 {
				delete(s.open, part.key)
			}
		}
	}
}

// feed is the state of a thing that streams follow.
type feed struct {
	stop  context.CancelFunc
	users int // guarded by the streams' lock

	mu      sync.Mutex
	view    followed
	err     error
	changed chan struct{} // closed after a change
}

// follow adds a stream to those that follow a thing, whose state is view. The first stream starts the checks, which
// end with the last stream.
func (s *streams) follow(thing string, view followed, look func(context.Context) (followed, error)) (f *feed, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f = s.feeds[thing]
	if f == nil {
		ctx, stop := context.WithCancel(context.Background())
		f = &feed{stop: stop, view: view, changed: make(chan struct{})}
		s.feeds[thing] = f
		go f.poll(ctx, s.every, look)
	}
	f.users++
	return f, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if f.users--; f.users == 0 {
			f.stop()
			delete(s.feeds, thing)
		}
	}
}

// state returns the current state, and a channel that is closed when it changes.
func (f *feed) state() (followed, error, <-chan struct{}) { //nolint:staticcheck // the error is a part of the state
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view, f.err, f.changed
}

// poll checks until the thing is final, cannot be read, or ctx ends.
func (f *feed) poll(ctx context.Context, every time.Duration, look func(context.Context) (followed, error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		bounded, cancel := context.WithTimeout(ctx, requestTimeout)
		view, err := look(bounded)
		cancel()
		f.mu.Lock()
		f.err = err
		if err == nil {
			f.view = view
		}
		close(f.changed)
		f.changed = make(chan struct{})
		f.mu.Unlock()
		if err != nil || view.Final() {
			return
		}
	}
}
