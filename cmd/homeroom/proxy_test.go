package main

import (
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// networkFault is a fault of the network. It affects connections that exist when it begins and later ones.
type networkFault struct {
	// part is the share of the connections that it affects.
	part float64
	// refused: nobody listens, and existing connections are cut.
	refused bool
	// swallowUp and swallowDown drop the data that is sent to the server or back, and cut the connection soon after.
	// With hole the connection is only cut when the fault ends.
	swallowUp, swallowDown, hole bool
	// reset resets a connection when an answer comes.
	reset bool
	// most is after how many bytes of answers the connection is cut; 0 means never.
	most int
	// pieces is how many bytes of an answer are sent at a time, and pause the time between; 0 means all at once.
	pieces int
	pause  time.Duration
}

var networkFaults = map[string]networkFault{
	"refused":                {refused: true},
	"lost before it is sent": {part: 0.5, swallowUp: true},
	"answer lost":            {part: 0.5, swallowDown: true},
	"reset":                  {part: 0.5, reset: true},
	"answer truncated":       {part: 0.7, most: 900},
	"slow drip":              {part: 1, pieces: 24, pause: 5 * time.Millisecond},
	"slow":                   {part: 1, pieces: 32 << 10, pause: 200 * time.Millisecond},
	"black hole":             {part: 1, swallowUp: true, hole: true},
}

// proxy is a TCP proxy between the process and a server that it uses. Its faults begin and end.
type proxy struct {
	address, target string

	mu       sync.Mutex
	listener net.Listener
	fault    *networkFault
	links    map[*link]bool
}

// link is one connection through a proxy.
type link struct {
	client, server net.Conn
	// of is the fault for which hit was drawn; passed counts the bytes of answers since then.
	of     *networkFault
	hit    bool
	passed int
}

// close cuts both sides. It may be called again.
func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// newProxy makes a proxy to the host of a URL, and returns the URL through the proxy.
func newProxy(t testing.TB, target string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	w := &proxy{address: "127.0.0.1:0", target: u.Host, links: map[*link]bool{}}
	w.listen(t)
	w.address = w.listener.Addr().String()
	t.Cleanup(w.cut)
	u.Host = w.address
	return w, u.String()
}

func (w *proxy) listen(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", w.address)
	if err != nil {
		t.Error(err)
		return
	}
	w.mu.Lock()
	w.listener = listener
	w.mu.Unlock()
	go w.accept(listener)
}

func (w *proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			server, err := net.DialTimeout("tcp", w.target, 5*time.Second)
			if err != nil {
				_ = client.Close()
				return
			}
			l := &link{client: client, server: server}
			w.mu.Lock()
			w.links[l] = true
			w.mu.Unlock()
			go w.pass(l, client, server, false)
			w.pass(l, server, client, true)
			w.mu.Lock()
			delete(w.links, l)
			w.mu.Unlock()
		}()
	}
}

// cut stops listening, and cuts what is connected.
func (w *proxy) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.listener.Close()
	for l := range w.links {
		l.close()
	}
}

// begin begins a fault, and returns a function that ends it.
func (w *proxy) begin(t testing.TB, fault networkFault) (repair func()) {
	t.Helper()
	if fault.refused {
		w.cut()
		return func() { w.listen(t) }
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = &fault
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.fault = nil
		for l := range w.links {
			if fault.hole && l.of == &fault && l.hit {
				l.close()
			}
		}
	}
}

// pass copies one direction of a connection until either side ends.
func (w *proxy) pass(l *link, from, to net.Conn, down bool) {
	defer l.close()
	for buffer := make([]byte, 32<<10); ; {
		n, err := from.Read(buffer)
		if err != nil || !w.send(l, to, buffer[:n], down) {
			return
		}
	}
}

// send sends the data as the current fault allows, and reports whether the connection goes on.
func (w *proxy) send(l *link, to net.Conn, data []byte, down bool) bool {
	fault := w.currentFault(l)
	if fault == nil {
		_, err := to.Write(data)
		return err == nil
	}
	switch {
	case fault.swallowUp && !down || fault.swallowDown && down:
		if !fault.hole {
			time.AfterFunc(50*time.Millisecond, l.close)
		}
		return true
	case !down:
	case fault.reset:
		_ = to.(*net.TCPConn).SetLinger(0)
		return false
	case fault.most > 0:
		rest := max(fault.most-l.passed, 0) // only this direction counts
		l.passed += len(data)
		_, err := to.Write(data[:min(rest, len(data))])
		return err == nil && l.passed < fault.most
	case fault.pieces > 0:
		for ; len(data) > fault.pieces; data = data[fault.pieces:] {
			if _, err := to.Write(data[:fault.pieces]); err != nil {
				return false
			}
			time.Sleep(fault.pause)
		}
		time.Sleep(fault.pause)
	}
	_, err := to.Write(data)
	return err == nil
}

// currentFault returns the current fault, if it affects this connection.
func (w *proxy) currentFault(l *link) *networkFault {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fault == nil {
		return nil
	}
	if l.of != w.fault {
		l.of, l.hit = w.fault, rand.Float64() < w.fault.part
	}
	if !l.hit {
		return nil
	}
	return w.fault
}
