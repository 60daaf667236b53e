package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"homeroom/internal/pgtest"
)

// keptAlive is a keep-alive connection on which a client sends one request after another.
type keptAlive struct {
	conn   net.Conn
	reader *bufio.Reader
}

func keepAlive(t *testing.T, address string) *keptAlive {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &keptAlive{conn, bufio.NewReader(conn)}
}

// get sends a request and reads its answer. last reports that the server closes the connection.
func (k *keptAlive) get(path string) (status int, last bool, err error) {
	if _, err := fmt.Fprintf(k.conn, "GET %s HTTP/1.1\r\nHost: homeroom.test\r\n\r\n", path); err != nil {
		return 0, false, err
	}
	response, err := http.ReadResponse(k.reader, nil)
	if err != nil {
		return 0, false, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Close, err
}

// TestNoRequestIsCutWhenAServiceStops: clients with keep-alive connections are told to reconnect, and none of their
// requests fails before.
func TestNoRequestIsCutWhenAServiceStops(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 0)
	p := w.start(t, "HOMEROOM_SHUTDOWN_DELAY=30s")
	if p.url == "" {
		t.Fatalf("it does not serve: %s", p.logs)
	}
	const clients = 12
	var under, group sync.WaitGroup
	under.Add(clients)
	for range clients {
		client := keepAlive(t, p.url)
		group.Go(func() {
			for n := 0; ; n++ {
				status, last, err := client.get("/schools/availability?name=Lincoln+High")
				if err != nil || status != http.StatusOK {
					t.Errorf("request %d: status %d, %v", n, status, err)
				}
				if n == 5 {
					under.Done()
				}
				if last || err != nil {
					return
				}
			}
		})
	}
	under.Wait()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	status, last, err := keepAlive(t, p.url).get("/readyz")
	if err != nil || status != http.StatusServiceUnavailable || !last {
		t.Errorf("readiness: status %d, the last %v, %v", status, last, err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 0)
	p := w.start(t, "HOMEROOM_MAX_CONNECTIONS=1")
	if p.url == "" {
		t.Fatalf("it does not serve: %s", p.logs)
	}
	first, second := keepAlive(t, p.url), keepAlive(t, p.url)
	answered := make(chan error, 1)
	for range 20 {
		if status, _, err := first.get("/livez"); err != nil || status != http.StatusOK {
			t.Fatalf("the first client gets %d, %v", status, err)
		}
	}
	go func() {
		status, _, err := second.get("/livez")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		answered <- err
	}()
	for range 20 {
		if _, _, err := first.get("/livez"); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-answered:
		t.Fatalf("the second client is answered beside the first: %v", err)
	default:
	}
	_ = first.conn.Close()
	select {
	case err := <-answered:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error(errors.New("the second client waits for ever"))
	}
}
