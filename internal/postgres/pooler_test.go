package postgres_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"homeroom/internal/pgtest"
	"homeroom/internal/postgres"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// pooler stands between clients and Postgres as PgBouncer does. It speaks the simple protocol only.
type pooler struct {
	t   *testing.T
	url string
	// perTransaction gives a client's session back when its transaction has ended, and not when the client leaves.
	perTransaction bool
	// refuses is a setting of a session that it does not take.
	refuses string

	mu   sync.Mutex
	idle []*pgconn.HijackedConn // the one that was given back last is handed out next
}

// start returns the URL that leads through the pooler.
func (p *pooler) start() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	var clients sync.WaitGroup
	p.t.Cleanup(func() {
		_ = listener.Close()
		clients.Wait()
		for _, session := range p.idle {
			_ = session.Conn.Close()
		}
	})
	clients.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			clients.Go(func() { p.serve(client) })
		}
	})
	u, err := url.Parse(p.url)
	if err != nil {
		p.t.Fatal(err)
	}
	u.Host = listener.Addr().String()
	return u.String()
}

func (p *pooler) serve(client net.Conn) {
	defer client.Close()
	to := pgproto3.NewBackend(client, client)
	startup, err := to.ReceiveStartupMessage()
	if err != nil {
		return
	}
	if _, there := startup.(*pgproto3.StartupMessage).Parameters[p.refuses]; there {
		to.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01", Message: "unsupported startup parameter: " + p.refuses})
		_ = to.Flush()
		return
	}
	to.Send(&pgproto3.AuthenticationOk{})
	to.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	to.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	to.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{0, 0, 0, 1}})
	to.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if to.Flush() != nil {
		return
	}
	var session *pgconn.HijackedConn
	for {
		message, err := to.Receive()
		if _, query := message.(*pgproto3.Query); err != nil || !query {
			break
		}
		if session == nil {
			session = p.take()
		}
		session.Frontend.Send(message)
		if session.Frontend.Flush() != nil || !p.answer(to, session, &session) {
			return
		}
	}
	if session != nil {
		p.release(session)
	}
}

// answer hands on what Postgres says to a query.
func (p *pooler) answer(to *pgproto3.Backend, session *pgconn.HijackedConn, held **pgconn.HijackedConn) bool {
	for {
		message, err := session.Frontend.Receive()
		if err != nil {
			return false
		}
		to.Send(message)
		if ready, ok := message.(*pgproto3.ReadyForQuery); ok {
			if p.perTransaction && ready.TxStatus == 'I' {
				p.release(session)
				*held = nil
			}
			return to.Flush() == nil
		}
	}
}

func (p *pooler) take() *pgconn.HijackedConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		session := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return session
	}
	conn, err := pgconn.Connect(context.Background(), p.url)
	if err != nil {
		p.t.Error(err)
		return nil
	}
	session, err := conn.Hijack()
	if err != nil {
		p.t.Error(err)
	}
	return session
}

func (p *pooler) release(session *pgconn.HijackedConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, session)
}

func TestCheckDirect(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	for name, c := range map[string]struct {
		url    string
		pooled bool
	}{
		"Postgres itself":                {address, false},
		"a session for each client":      {(&pooler{t: t, url: address}).start(), false},
		"a session for each transaction": {(&pooler{t: t, url: address, perTransaction: true}).start(), true},
	} {
		t.Run(name, func(t *testing.T) {
			conn := pgtest.Connect(t, c.url)
			if err := postgres.CheckDirect(t.Context(), conn); errors.Is(err, postgres.ErrPooler) != c.pooled || !c.pooled && err != nil {
				t.Errorf("it says %v", err)
			}
		})
	}
}

func TestConnectRecognisesAPoolerByWhatItRefuses(t *testing.T) {
	t.Parallel()
	cfg, err := pgx.ParseConfig((&pooler{t: t, url: pgtest.Database(t), refuses: "lock_timeout"}).start())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := postgres.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close(context.Background())
	cfg.RuntimeParams["lock_timeout"] = "1s"
	if _, err := postgres.Connect(t.Context(), cfg); !errors.Is(err, postgres.ErrPooler) {
		t.Errorf("it says %v", err)
	}
}
