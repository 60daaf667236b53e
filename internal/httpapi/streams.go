package httpapi

import (
	"context"
	"sync"
	"time"

	"homeroom/admission"
)

const (
	// maxStreams is how many event streams that need no token a process serves at the same time, and maxOperatorStreams how many
	// of those that do: whoever takes all of the one leaves the others theirs.
	maxStreams         = 200
	maxOperatorStreams = 50
	// maxOfNetwork and maxOfOne are how many of the former a client's network may have, and how many may follow one sign-up.
	maxOfNetwork = 5
	maxOfOne     = 5
)

// streams counts the open event streams and looks, once for all that follow the same thing, whether it has changed.
type streams struct {
	every time.Duration

	mu    sync.Mutex
	open  map[string]int // by what is counted; none are 0
	feeds map[string]*feed
}

func newStreams(every time.Duration) *streams {
	return &streams{every: every, open: map[string]int{}, feeds: map[string]*feed{}}
}

// share is a part of what may be open: at most so many with a key.
type share struct {
	key  string
	most int
}

// sharesOf are what a stream takes part of.
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

// enter takes a stream's shares. What it returns gives them back; it is nil where there is no room.
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

// feed is what is known of a thing that streams follow.
type feed struct {
	stop  context.CancelFunc
	users int // guarded by the streams' lock

	mu      sync.Mutex
	view    followed
	err     error
	changed chan struct{} // closed when there is something new
}

// follow joins those who follow a thing, of which view is known. The first has it looked at until the last has left.
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

// state is what is known now, and a channel that is closed when that changes.
func (f *feed) state() (followed, error, <-chan struct{}) { //nolint:staticcheck // the error is a part of the state, and not of asking for it
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view, f.err, f.changed
}

// poll looks until the thing is final, cannot be looked at, or ctx ends.
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
