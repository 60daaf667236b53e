package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"homeroom/internal/httpapi"
)

// counted counts what is read of an endless body.
type counted struct{ read atomic.Int64 }

func (c *counted) Read(p []byte) (int, error) {
	c.read.Add(int64(len(p)))
	return neverEnding('a').Read(p)
}

// TestAHugeBodyIsNotRead: what the client could send is bounded by what the connection holds, and not by what it likes.
func TestAHugeBodyIsNotRead(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, server: func(h http.Handler) *http.Server { return httpapi.NewServer("", h) }})
	for path, kind := range map[string]string{
		"/users": "application/json", "/api/auth/sign-up": "application/json", "/activate": "application/x-www-form-urlencoded",
		"/invitation": "application/x-www-form-urlencoded",
	} {
		body := &counted{}
		r, err := w.try("POST", path, io.MultiReader(strings.NewReader(`{"name":"`), body), "Content-Type: "+kind)
		if err == nil { // the server may have closed the connection before its answer was read
			truth(t, r.Status == 413 || r.Status == 400, path, r.Status)
		}
		truth(t, body.read.Load() < 16<<20, path, " took ", body.read.Load(), " bytes")
	}
}

// TestSlowRequestsHoldLittleMemory: five hundred clients begin bodies that they do not end, and the requests of others are
// answered. It runs alone, because it measures the memory of the process.
func TestSlowRequestsHoldLittleMemory(t *testing.T) {
	w := setup(t, options{noSpare: true, server: func(h http.Handler) *http.Server { return httpapi.NewServer("", h) }})
	const clients, each = 500, 64 << 10
	var waiting sync.WaitGroup
	slow := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		waiting.Done()
		w.handler.ServeHTTP(rw, r)
	}))
	slow.Start()
	t.Cleanup(slow.Close)
	before := inUse()
	waiting.Add(clients)
	var dialer net.Dialer
	for range clients {
		conn, err := dialer.DialContext(context.WithoutCancel(t.Context()), "tcp", slow.Listener.Addr().String())
		check(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintf(conn, "POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 16000\r\n\r\n{\"name\":\"")
		check(t, err)
	}
	waiting.Wait()
	equal(t, 200, w.call("GET", "/livez", "").Status)
	held := inUse() - before
	truth(t, held < clients*each, "slow requests hold ", held>>10, " KiB")
}

// inUse is how much memory objects and stacks have.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
