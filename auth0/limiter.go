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
	"homeroom/internal/remote"
	"homeroom/internal/wait"
)

// limits has a limiter for each kind of call that Auth0's plans count separately. Where a plan counts them together, the
// headers include in each limiter what the others used.
type limits struct {
	token *limiter
	// login has no limit: logins are limited by person and by address.
	login *limiter
	// read, write and remove are for users.
	read, write, remove *limiter
	// organizationRead, organizationWrite and member are for organizations and their members.
	organizationRead, organizationWrite, member *limiter
	// others is for roles, connections and tickets, which Auth0 counts together.
	others *limiter
}

func newLimits(now func() time.Time, maxWait time.Duration) *limits {
	fresh := func() *limiter { return &limiter{now: now, maxWait: maxWait, lock: make(chan struct{}, 1)} }
	return &limits{
		token: fresh(), login: fresh(), read: fresh(), write: fresh(), remove: fresh(),
		organizationRead: fresh(), organizationWrite: fresh(), member: fresh(), others: fresh(),
	}
}

func (l *limits) forCall(req remote.Call) *limiter {
	reads := req.Method == http.MethodGet
	switch {
	case isLogin(req):
		return l.login
	case req.Route == routeToken:
		return l.token
	case strings.HasPrefix(req.Route, routeMembers) && !reads:
		return l.member
	case strings.HasPrefix(req.Route, routeOrganizations) && reads:
		return l.organizationRead
	case strings.HasPrefix(req.Route, routeOrganizations):
		return l.organizationWrite
	case !strings.HasPrefix(req.Route, routeUsers): // users-by-email has this prefix too
		return l.others
	case reads:
		return l.read
	case req.Method == http.MethodDelete:
		return l.remove
	default:
		return l.write
	}
}

// isLogin reports whether the call is a person's login.
func isLogin(req remote.Call) bool { return req.Form.Get("grant_type") == grantRealm }

// Wait implements [remote.Gate].
func (l *limits) Wait(ctx context.Context, req remote.Call) error { return l.forCall(req).wait(ctx) }

// Learn implements [remote.Gate]. The answer to a login has a person's limits, not ours.
//
// A 429 of the Management API does not show which limit was hit, so it pauses all its calls; the token endpoint has a
// limit of its own.
func (l *limits) Learn(req remote.Call, ans remote.Answer, sent time.Time, pause time.Duration) {
	if isLogin(req) {
		return
	}
	l.forCall(req).learn(ans, sent)
	if req.Route == routeToken {
		l.token.pause(pause)
		return
	}
	for _, one := range []*limiter{
		l.read, l.write, l.remove, l.organizationRead, l.organizationWrite, l.member, l.others,
	} {
		one.pause(pause)
	}
}

// untilReset returns how long an answer without Retry-After asks to wait.
func (l *limits) untilReset(ans remote.Answer) time.Duration {
	reset, err := strconv.ParseInt(ans.Header.Get(headerReset), 10, 64)
	if err != nil {
		return 0
	}
	return time.Unix(reset, 0).Sub(l.token.now())
}

// limiter copies a token bucket of the tenant: calls take from it at once, and headers of answers correct it. Before
// the first answer it has no limit.
type limiter struct {
	now     func() time.Time
	maxWait time.Duration
	// lock is held by the call at the head of the queue. It is a channel, which serves waiting calls in order.
	lock chan struct{}

	mu       sync.Mutex
	burst    int           // size of the bucket; 0 if no limit is known
	interval time.Duration // time from one token to the next
	measured bool          // interval was measured with an empty bucket; false if it is a guess
	tokens   float64       // tokens in the bucket at the time of counted
	counted  time.Time
	paused   time.Time // no call is sent before
	queued   int       // waiting calls
}

var errThrottled = errors.New("the tenant's rate limit allows no call in time")

// wait returns when the call may be sent. It refuses at once a call that cannot be sent before its deadline, or within
// maxWait.
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
		return remote.Throttled(expected, errThrottled)
	}
	l.queued++
	l.mu.Unlock()

	ctx, cancel := context.WithTimeoutCause(ctx, l.maxWait, errThrottled)
	defer cancel()
	if err := l.queue(ctx); err != nil {
		return remote.Throttled(expected, fmt.Errorf("wait for the tenant's rate limit: %w", err))
	}
	return nil
}

// queue waits for the lock and then for a token. It checks again after each sleep, since answers change the bucket.
func (l *limiter) queue(ctx context.Context) error {
	defer func() {
		l.mu.Lock()
		l.queued--
		l.mu.Unlock()
	}()
	select {
	case l.lock <- struct{}{}:
		defer func() { <-l.lock }()
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
		if wait.For(ctx, d) != nil {
			return context.Cause(ctx)
		}
	}
}

// delay returns the time until there is a token; l.mu is held.
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

// refill adds the tokens since the last count; l.mu is held.
func (l *limiter) refill(now time.Time) {
	l.tokens = min(l.tokens+float64(now.Sub(l.counted))/float64(l.interval), float64(l.burst))
	l.counted = now
}

// yield waits for the time of two tokens. Background work calls it before each call except the first, and so leaves
// half of the rate to sign-ups.
func (l *limiter) yield(ctx context.Context) error {
	l.mu.Lock()
	d := 2 * l.interval
	l.mu.Unlock()
	if err := wait.For(ctx, d); err != nil {
		return &identity.Unavailable{Err: fmt.Errorf("yield to other calls: %w", err)}
	}
	return nil
}

func (l *limiter) pause(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := l.now().Add(d); until.After(l.paused) {
		l.paused = until
	}
}

// learn updates the bucket from the answer to a call that was sent at a time.
func (l *limiter) learn(ans remote.Answer, sent time.Time) {
	limit, _ := strconv.Atoi(ans.Header.Get(headerLimit))
	remaining, errRemaining := strconv.Atoi(ans.Header.Get(headerRemaining))
	reset, errReset := strconv.ParseInt(ans.Header.Get(headerReset), 10, 64)

	l.mu.Lock()
	defer l.mu.Unlock()
	if limit <= 0 || errRemaining != nil || errReset != nil {
		return
	}
	remaining = min(max(remaining, 0), limit)
	window := min(max(time.Unix(reset, 0).Sub(sent), time.Second), remote.MaxRetryAfter)
	if l.burst != limit {
		l.burst, l.measured, l.tokens, l.counted = limit, false, float64(remaining), l.now()
	}
	l.measure(window, remaining, ans.Status == http.StatusTooManyRequests)
	l.refill(l.now())
	// Fewer than counted: other programs send calls too. More: calls that were sent later are not included yet.
	if remaining < int(l.tokens) {
		l.tokens = float64(remaining)
	}
}

// maxFillTime is the longest time that a published Auth0 plan takes to fill a bucket.
const maxFillTime = 6 * time.Second

// measure estimates the rate, which is in no header. The reset is when the bucket will be full, rounded up to a second,
// and zero remaining may be almost one. So an empty bucket gives a rate that is slightly too low, and the highest of
// several is kept until a refusal shows that it is wrong. Before a bucket was empty the rate is a guess. l.mu is held.
func (l *limiter) measure(window time.Duration, remaining int, refused bool) {
	if remaining > 0 {
		if !l.measured {
			l.interval = min(window/time.Duration(max(l.burst-remaining, 1)), maxFillTime/time.Duration(l.burst)) + 1
		}
		return
	}
	size := float64(l.burst)
	interval := time.Duration(float64(window) / max(size-1, 0.75*size))
	if !l.measured || refused || interval < l.interval {
		l.interval, l.measured = interval+1, true // never zero
	}
}
