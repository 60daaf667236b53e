package devpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// pollInterval is how often a starting or stopping server is checked.
const pollInterval = 10 * time.Millisecond

// process is a running postmaster.
type process struct {
	pid      int
	done     chan struct{} // closed when it has ended
	logStart int64         // where its part of the log begins
}

// startPostmaster starts the server process, which ends with this process.
func (s *Server) startPostmaster() (*process, error) {
	log, err := os.OpenFile(s.home.logFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = log.Close() }()
	logStart, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("find end of log: %w", err)
	}
	cmd := exec.Command(s.binaries.path("postgres"), s.arguments()...) //nolint:gosec,noctx // our binary; outlives any ctx
	cmd.Dir, cmd.Env = s.home.data(), environment()
	cmd.Stdout, cmd.Stderr = log, log
	ownGroup(cmd)
	s.home.user.apply(cmd)
	setParentDeathSignal(cmd, false)

	p := &process{done: make(chan struct{}), logStart: logStart}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // see setParentDeathSignal; the thread ends with this goroutine
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// arguments carry every setting on the command line, so that the cluster's own files stay as initdb made them.
func (s *Server) arguments() []string {
	args := []string{"-D", s.home.data()}
	for _, name := range slices.Sorted(maps.Keys(s.cfg.Settings)) {
		args = append(args, "-c", name+"="+s.cfg.Settings[name])
	}
	return append(args, "-c", "port="+strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "logging_collector=off", "-c", "log_destination=stderr")
}

// environment is the current one without secrets, and without the PG* and locale variables that change Postgres.
func environment() []string {
	env := []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "TMPDIR", "TMP", "TEMP", "SystemRoot", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// awaitReady returns when the server accepts connections with its password, or with the reason of its failure.
//
// It first waits for "ready" in postmaster.pid: another server may answer on a port that it has taken.
func (s *Server) awaitReady(ctx context.Context, p *process) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-p.done:
			return s.startError(p, errors.New("it ended"))
		case <-ctx.Done():
			return s.startError(p, context.Cause(ctx))
		case <-ticker.C:
		}
		if pid, ready := s.home.postmaster(); pid != p.pid || !ready {
			continue
		}
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err != nil {
			return s.startError(p, err)
		}
		return conn.Close(ctx)
	}
}

// startError quotes the server's log.
func (s *Server) startError(p *process, cause error) error {
	var log string
	if file, err := os.Open(s.home.logFile()); err == nil {
		defer func() { _ = file.Close() }()
		text, _ := io.ReadAll(io.NewSectionReader(file, p.logStart, 1<<20))
		log = string(text)
	}
	if strings.Contains(log, "could not create any TCP/IP sockets") {
		cause = fmt.Errorf("%w: %d", ErrPortTaken, s.port)
	}
	return fmt.Errorf("start postgres: %w; its log (%s) says:\n%s", cause, s.home.logFile(), lastLines(log))
}

// postmaster reads the process of the data directory. The eighth line of the file is the server's state.
func (h *home) postmaster() (pid int, ready bool) {
	text, err := os.ReadFile(h.pidFile())
	if err != nil {
		return 0, false
	}
	lines := strings.Split(string(text), "\n")
	pid, _ = strconv.Atoi(lines[0])
	return pid, len(lines) >= 8 && strings.TrimSpace(lines[7]) == "ready"
}

// end shuts a postmaster down and waits; when ctx ends before it does, it is stopped at once.
func (p *process) end(ctx context.Context, mode Mode) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := signal(p.pid, mode); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	// An immediate stop kills what does not end within five seconds, so this wait is bounded.
	if err := signal(p.pid, Immediate); err != nil {
		return err
	}
	<-p.done
	return nil
}

// stopOrphan stops a server whose starting process has ended. This process holds the folder's lock, so nobody uses it.
// On Linux it is stopping already; elsewhere it needs a signal.
func (h *home) stopOrphan(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for told := 0; ; {
		pid, _ := h.postmaster()
		if pid <= 0 || !isPostmaster(ctx, pid, h.data()) {
			return nil
		}
		if told != pid {
			if err := signal(pid, Fast); err != nil {
				return err
			}
			told = pid
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the server left by a killed process (%d): %w", pid, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
