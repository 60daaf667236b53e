package devpg

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"homeroom/internal/secret"
)

// superuser is the role that owns the cluster.
const superuser = "postgres"

// Mode is a way to shut a server down.
type Mode int

const (
	// Fast ends all sessions, writes a checkpoint and leaves a clean cluster.
	Fast Mode = iota
	// Immediate stops at once, as a crash would: the next start recovers from the write-ahead log.
	Immediate
)

// Server is a running Postgres server. It is safe for concurrent use.
type Server struct {
	cfg      Config
	home     *home
	binaries Binaries
	password secret.String
	port     int

	mu     sync.Mutex // held while starting and stopping; guards what follows
	proc   *process
	closed bool
}

// URL is the address of a database as the superuser, password included.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password.Reveal()),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Port is the port at 127.0.0.1. It stays the same over [Server.Crash] and [Server.Restart].
func (s *Server) Port() int { return s.port }

// BinDir is the folder of the binaries that run.
func (s *Server) BinDir() string { return s.binaries.Dir }

// DataDir is the folder of the cluster.
func (s *Server) DataDir() string { return s.home.data() }

// LogFile is the server's own log. The one of the run before has ".old" appended.
func (s *Server) LogFile() string { return s.home.logFile() }

// Version is the version of the server, such as "15.18".
func (s *Server) Version() string { return s.binaries.Version }

// Done is closed when the server process has ended, asked to or not. After a [Server.Restart] call Done again.
func (s *Server) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.done
}

// Stop shuts the server down and waits for its end; the folder is then free. When ctx ends first,
// the server is killed. A second Stop does nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if err := s.stopProcess(ctx, Fast); err != nil {
		return err
	}
	s.closed = true
	return s.home.close()
}

// Crash stops the server at once, as if it had crashed. [Server.Restart] brings it back.
func (s *Server) Crash(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopProcess(ctx, Immediate)
}

// Restart stops the server, if it still runs, and starts it again on the same port with the same data.
func (s *Server) Restart(ctx context.Context, mode Mode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("restart Postgres: it was stopped for good")
	}
	if err := s.stopProcess(ctx, mode); err != nil {
		return err
	}
	return s.launch(ctx)
}

// stopProcess ends the process and waits for it.
func (s *Server) stopProcess(ctx context.Context, mode Mode) error {
	if err := s.proc.end(ctx, mode); err != nil {
		return fmt.Errorf("stop Postgres: %w", err)
	}
	return nil
}

// firstLaunch starts on the port of the previous run if it is free, else on any free one. Between finding a port and
// listening on it another process may take it; then another port is tried.
func (s *Server) firstLaunch(ctx context.Context) error {
	_ = os.Rename(s.home.logFile(), s.home.logFile()+".old")
	s.port = s.home.lastPort()
	for attempt := 1; ; attempt++ {
		if !portFree(s.port) {
			s.port = freePort()
		}
		err := s.launch(ctx)
		if err == nil {
			break
		}
		if attempt == 5 || !errors.Is(err, ErrPortTaken) {
			return err
		}
	}
	if err := os.WriteFile(s.home.portFile(), []byte(strconv.Itoa(s.port)), 0o600); err != nil {
		return errors.Join(fmt.Errorf("record port: %w", err), s.stopProcess(ctx, Fast))
	}
	return nil
}

// launch starts the postmaster and waits until it accepts connections.
func (s *Server) launch(ctx context.Context) error {
	proc, err := s.startPostmaster()
	if err != nil {
		return err
	}
	if err := s.awaitReady(ctx, proc); err != nil {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return errors.Join(err, proc.end(stopCtx, Immediate))
	}
	s.proc = proc
	return nil
}

// lastPort is the port of the previous run, 0 if unknown.
func (h *home) lastPort() int {
	text, _ := os.ReadFile(h.portFile())
	port, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return port
}

// freePort searches below the ranges of ports for outgoing connections: a port in there could be
// taken when a crashed server restarts.
func freePort() int {
	for range 100 {
		if port := 15432 + rand.IntN(16000); portFree(port) { //nolint:gosec // not a secret
			return port
		}
	}
	return 0 // no free port: the postmaster will report that
}

func portFree(port int) bool {
	if port == 0 {
		return false
	}
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	_ = listener.Close()
	return true
}
