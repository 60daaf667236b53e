package auth0

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"homeroom/identity"
)

// limits holds a limiter for each kind of call that Auth0's plans count apart. Where a plan counts them together, the
// headers tell each limiter what the others used.
type limits struct {
	token *limiter
	// login knows no limit: those of logins are counted by person and by address.
	login *limiter
	// read, write and remove are of users.
	read, write, remove *limiter
	// organizations are read, made and removed at their own rates, and members are added at another.
	organizationRead, organizationWrite, member *limiter
	// others is of what Auth0 counts in one: roles, connections, tickets.
	others *limiter
}

func newLimits(now func() time.Time, maxWait time.Duration) *limits {
	fresh := func() *limiter { return &limiter{now: now, maxWait: maxWait, turn: make(chan struct{}, 1)} }
	return &limits{
		token: fresh(), login: fresh(), read: fresh(), write: fresh(), remove: fresh(),
		organizationRead: fresh(), organizationWrite: fresh(), member: fresh(), others: fresh(),
	}
}

func (l *limits) of(req call) *limiter {
	reads := req.method == http.MethodGet
	switch {
	case req.login:
		return l.login
	case req.route == routeToken:
		return l.token
	case strings.HasPrefix(req.route, routeMembers) && !reads:
		return l.member
	case strings.HasPrefix(req.route, routeOrganizations) && reads:
		return l.organizationRead
	case strings.HasPrefix(req.route, routeOrganizations):
		return l.organizationWrite
	case !strings.HasPrefix(req.route, routeUsers): // users-by-email has it too
		return l.others
	case reads:
		return l.read
	case req.method == http.MethodDelete:
		return l.remove
	default:
		return l.write
	}
}

// pause lets no call through for a while, after a 429. One of the Management API does not say which limit was hit, so it
// holds for all its calls; the token endpoint has a limit of its own.
func (l *limits) pause(req call, d time.Duration) {
	if req.route == routeToken {
		l.token.pause(d)
		return
	}
	for _, one := range []*limiter{
		l.read, l.write, l.remove, l.organizationRead, l.organizationWrite, l.member, l.others,
	} {
		one.pause(d)
	}
}

// limiter mirrors a token bucket of the tenant: calls take from it at once, and what answers tell corrects it. Until the
// first answer has told one it knows no limit, and costs a mutex.
type limiter struct {
	now     func() time.Time
	maxWait time.Duration
	// turn is held by the call at the head of the queue; a channel serves those who wait for it in order.
	turn chan struct{}

	mu       sync.Mutex
	burst    int           // what the bucket holds; 0: no limit is known
	interval time.Duration // from one token to the next
	measured bool          // whether interval was told by an empty bucket, or is a guess
	tokens   float64       // what is in it, at the time of counted
	counted  time.Time
	paused   time.Time // until when nothing goes
	queued   int       // calls that wait
}

var errThrottled = errors.New("the tenant's rate limit leaves no room in time")

// wait returns when the call may be sent. A call that could not be sent before its deadline, or within
// maxWait, is refused at once rather than at the end.
func (l *limiter) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &identity.Unavailable{Err: fmt.Errorf("wait to send: %w", err)}
	}
	l.mu.Lock()
	expected := l.delay() + time.Duration(l.queued)*l.interval
	if expected == 0 && l.queued == 0 {
		l.tokens--
		l.mu.Unlock()
		return nil
	}
	deadline, ok := ctx.Deadline()
	if expected > l.maxWait || (ok && time.Until(deadline) < expected) {
		l.mu.Unlock()
		return throttled(expected, errThrottled)
	}
	l.queued++
	l.mu.Unlock()

	ctx, cancel := context.WithTimeoutCause(ctx, l.maxWait, errThrottled)
	defer cancel()
	if err := l.queue(ctx); err != nil {
		return throttled(expected, fmt.Errorf("wait for the tenant's rate limit: %w", err))
	}
	return nil
}

// queue waits for the turn and then for a token. It looks again after each sleep, for answers change the bucket.
func (l *limiter) queue(ctx context.Context) error {
	defer func() {
		l.mu.Lock()
		l.queued--
		l.mu.Unlock()
	}()
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		l.mu.Lock()
		d := l.delay()
		if d == 0 {
			l.tokens--
			l.mu.Unlock()
			return nil
		}
		l.mu.Unlock()
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// delay is how long until there is a token; l.mu is held.
func (l *limiter) delay() time.Duration {
	now := l.now()
	wait := max(l.paused.Sub(now), 0)
	if l.burst == 0 {
		return wait
	}
	l.refill(now)
	if missing := 1 - l.tokens; missing > 1e-6 {
		wait = max(wait, time.Duration(missing*float64(l.interval))+1)
	}
	return wait
}

// refill counts what has dripped into the bucket; l.mu is held.
func (l *limiter) refill(now time.Time) {
	l.tokens = min(l.tokens+float64(now.Sub(l.counted))/float64(l.interval), float64(l.burst))
	l.counted = now
}

// yield waits while two tokens drip into the bucket. Work that nobody waits for does so before each of its calls but the
// first, one after the other, and leaves half of the rate to those for whom somebody does.
func (l *limiter) yield(ctx context.Context) error {
	l.mu.Lock()
	timer := time.NewTimer(2 * l.interval)
	l.mu.Unlock()
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return &identity.Unavailable{Err: fmt.Errorf("leave others their turn: %w", ctx.Err())}
	}
}

func (l *limiter) pause(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := l.now().Add(d); until.After(l.paused) {
		l.paused = until
	}
}

// learn takes in what the answer to a call that was sent at a time tells of the bucket.
func (l *limiter) learn(ans answer, sent time.Time) {
	limit, _ := strconv.Atoi(ans.header.Get(headerLimit))
	remaining, errRemaining := strconv.Atoi(ans.header.Get(headerRemaining))
	reset, errReset := strconv.ParseInt(ans.header.Get(headerReset), 10, 64)

	l.mu.Lock()
	defer l.mu.Unlock()
	if limit <= 0 || errRemaining != nil || errReset != nil {
		return
	}
	remaining = min(max(remaining, 0), limit)
	window := min(max(time.Unix(reset, 0).Sub(sent), time.Second), maxRetryAfter)
	if l.burst != limit {
		l.burst, l.measured, l.tokens, l.counted = limit, false, float64(remaining), l.now()
	}
	l.measure(window, remaining, ans.status == http.StatusTooManyRequests)
	l.refill(l.now())
	// Fewer than we count: other programs spend too. More: calls that were sent later are not in it yet.
	if remaining < int(l.tokens) {
		l.tokens = float64(remaining)
	}
}

// usualFill is how long Auth0's plans take to fill a bucket, at most, as far as they are published.
const usualFill = 6 * time.Second

// measure learns the rate, which no header tells. The reset is when the bucket will be full, rounded up to a second, and
// "none left" may hide most of a token: so an empty bucket gives a rate that is a little too low, and the best of several
// is kept until a refusal shows it to be wrong. Until one was empty the rate is guessed. l.mu is held.
func (l *limiter) measure(window time.Duration, remaining int, refused bool) {
	if remaining > 0 {
		if !l.measured {
			l.interval = min(window/time.Duration(max(l.burst-remaining, 1)), usualFill/time.Duration(l.burst)) + 1
		}
		return
	}
	size := float64(l.burst)
	interval := time.Duration(float64(window) / max(size-1, 0.75*size))
	if !l.measured || refused || interval < l.interval {
		l.interval, l.measured = interval+1, true // never zero
	}
}

func throttled(after time.Duration, err error) error {
	return &identity.Unavailable{Throttled: true, RetryAfter: min(max(after, time.Millisecond), maxRetryAfter), Err: err}
}
