package auth0test

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// RateLimit is a token bucket: every call takes one token, and an empty bucket answers 429. Auth0's free plan is {2,
// 2}, its enterprise plan {50, 16}. The zero value means no limit.
type RateLimit struct {
	// Burst is the size of the bucket.
	Burst int
	// PerSecond is how many tokens are added per second.
	PerSecond float64
}

// unlimited is the limit in the headers without a configured limit.
const unlimited = 1000

func (l RateLimit) limiter() *rate.Limiter {
	if l.Burst == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(l.PerSecond), l.Burst)
}

// rateState is the state in the headers of an answer.
type rateState struct {
	limit, remaining int
	reset            time.Time // when the bucket will be full again
}

// takeToken takes one token from the bucket, if there is one, and returns the rest.
func takeToken(l *rate.Limiter, now time.Time) (rateState, bool) {
	if l == nil {
		return rateState{limit: unlimited, remaining: unlimited - 1, reset: now.Add(time.Second)}, true
	}
	ok := l.AllowN(now, 1)
	left := max(0, l.TokensAt(now))
	full := time.Duration((float64(l.Burst()) - left) / float64(l.Limit()) * float64(time.Second))
	return rateState{limit: l.Burst(), remaining: int(left), reset: now.Add(full)}, ok
}

// write sets the headers. The reset is in seconds of the UNIX epoch, not a time to wait.
func (s rateState) write(h http.Header) {
	h.Set("X-Ratelimit-Limit", strconv.Itoa(s.limit))
	h.Set("X-Ratelimit-Remaining", strconv.Itoa(s.remaining))
	h.Set("X-Ratelimit-Reset", strconv.FormatInt(int64(math.Ceil(float64(s.reset.UnixMilli())/1000)), 10))
}

// globalLimit is the recorded refusal of the Management API.
func globalLimit(w http.ResponseWriter, state rateState) {
	state.write(w.Header())
	problem{
		Status: http.StatusTooManyRequests, Code: codeTooManyRequests,
		Message: "Global limit has been reached",
	}.write(w)
}

// tokenLimit is the refusal of /oauth/token [DOC].
func tokenLimit(w http.ResponseWriter, state rateState) {
	state.write(w.Header())
	(&oauthError{
		Status: http.StatusTooManyRequests, Code: codeTooManyRequests,
		Description: "Rate limit exceeded. Please retry after some time.",
	}).write(w)
}

// throttle is the refusal of a call by a limit, which allows calls again after a time.
func (s *Server) throttle(w http.ResponseWriter, r *http.Request, after time.Duration) {
	state := rateState{limit: 2, reset: s.now().Add(after)}
	if r.URL.Path == tokenPath {
		tokenLimit(w, state)
	} else {
		globalLimit(w, state)
	}
}

// quota counts the tokens that an application got in this hour of UTC [DOC].
type quota struct {
	perHour int

	mu   sync.Mutex
	hour time.Time
	used int
}

// take counts one token, if the quota allows it, and returns the Auth0-Client-Quota-Limit header and the wait for the
// next.
func (q *quota) take(now time.Time) (header string, wait time.Duration, ok bool) {
	if q.perHour == 0 {
		return "", 0, true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if hour := now.UTC().Truncate(time.Hour); !hour.Equal(q.hour) {
		q.hour, q.used = hour, 0
	}
	if ok = q.used < q.perHour; ok {
		q.used++
	}
	wait = q.hour.Add(time.Hour).Sub(now)
	header = fmt.Sprintf("b=per_hour;q=%d;r=%d;t=%d", q.perHour, q.perHour-q.used, int(wait.Seconds()))
	return header, wait, ok
}
