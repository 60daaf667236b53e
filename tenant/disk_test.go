package tenant_test

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

func TestNoDatabaseIsMadeBelowTheFloorOfFreeDisk(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	below := openAt(t, own.URL("postgres"), func(c *tenant.Config) { c.MinFreeDisk = math.MaxInt64 })
	databases := func() int { return value[int](t, root, "select count(*) from pg_database") }
	id := tenant.NewID()
	if _, err := below.Ensure(t.Context(), id, 0, nil); !errors.Is(err, tenant.ErrDiskLow) {
		t.Errorf("without a template: got %v, want ErrDiskLow", err)
	}
	if n := databases(); n != 3 {
		t.Errorf("%d databases, want the three of Postgres", n)
	}
	server := openAt(t, own.URL("postgres"), func(c *tenant.Config) { c.MinFreeDisk = 1 })
	old := ensure(t, server)
	if _, err := below.Ensure(t.Context(), id, 0, nil); !errors.Is(err, tenant.ErrDiskLow) {
		t.Errorf("with a template: got %v, want ErrDiskLow", err)
	}
	if n := databases(); n != 5 || value[bool](t, root, "select exists (select from pg_roles where rolname = $1)", id.Database()) {
		t.Errorf("%d databases, or a role, were created", n)
	}
	if result, err := below.Ensure(t.Context(), old, 0, nil); err != nil || result.Changed() {
		t.Errorf("an existing tenant: %+v, %v", result, err)
	}
	if _, err := server.Ensure(t.Context(), id, 0, nil); err != nil {
		t.Errorf("with enough free space: %v", err)
	}
}

func TestFreeDisk(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	free := func(address string) (int64, bool) {
		t.Helper()
		free, known, err := openAt(t, address, nil).FreeDisk(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return free, known
	}
	root := pgtest.Connect(t, own.URL("postgres"))
	exec(t, root, "create role provisioner login createdb createrole password 'secret'")
	provisioner := withUser(t, own.URL("postgres"), "provisioner", "secret")
	seen, known := free(own.URL("postgres"))
	if !known || seen <= 0 {
		t.Errorf("a superuser on the same machine: %d, %v", seen, known)
	}
	if _, known := free(provisioner); known {
		t.Error("known to a role that may not see the data directory, without the function")
	}
	exec(t, root, tenant.FreeDiskFunction)
	if _, known := free(provisioner); known {
		t.Error("known to a role that may not execute the function")
	}
	exec(t, root, "grant execute on function public.homeroom_free_disk() to provisioner")
	lines, known := free(provisioner)
	if difference := math.Abs(float64(lines - seen)); !known || difference > 0.2*float64(seen) {
		t.Errorf("the function returns %d, %v; the disk %d", lines, known, seen)
	}
	mine := pgtest.Connect(t, provisioner)
	for range 2 { // in one transaction
		exec(t, mine, "do $$ begin perform public.homeroom_free_disk(), public.homeroom_free_disk(); end $$")
	}
	exec(t, root, "alter function public.homeroom_free_disk() owner to provisioner")
	if _, known := free(provisioner); known {
		t.Error("called a function that is not a superuser's")
	}
}

// TestADiskThatPostgresCallsFullCountsAsLow: a server whose proxy reports a full disk counts as low for a while,
// without a minimum.
func TestADiskThatPostgresCallsFullCountsAsLow(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	address := fullDisk(t, pgtest.Server(t).URL("postgres"), &full)
	server := openAt(t, address, nil)
	ensure(t, server)
	id := tenant.NewID()
	full.Store(true)
	if _, err := server.Ensure(t.Context(), id, 0, nil); !errors.Is(err, tenant.ErrDiskLow) {
		t.Errorf("got %v, want ErrDiskLow", err)
	} else {
		refused(t, "create", err, "53100")
	}
	full.Store(false)
	if _, err := server.Ensure(t.Context(), id, 0, nil); !errors.Is(err, tenant.ErrDiskLow) {
		t.Errorf("a moment later: got %v, want ErrDiskLow", err)
	}
	if _, err := openAt(t, address, nil).Ensure(t.Context(), id, 0, nil); err != nil {
		t.Errorf("with enough free space: %v", err)
	}
}

// fullDisk returns the address of a proxy to a Postgres. While full is set, the proxy answers each CREATE DATABASE as a
// server with a full disk does.
func fullDisk(t *testing.T, address string, full *atomic.Bool) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", u.Host)
			if err != nil {
				_ = client.Close()
				return
			}
			go func() { _, _ = io.Copy(client, server); _ = client.Close() }()
			go func() { forward(client, server, full); _ = server.Close() }()
		}
	}()
	proxied := *u
	proxied.Host = listener.Addr().String()
	return proxied.String()
}

// forward forwards a client's messages, except those that a full disk refuses.
func forward(client io.ReadWriter, server io.Writer, full *atomic.Bool) {
	for head := 0; ; head = 1 { // the first message has no type in front of its length
		message := make([]byte, head+4)
		if _, err := io.ReadFull(client, message); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(message[head:])-4)
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		if head == 1 && message[0] == 'Q' && strings.HasPrefix(string(body), "create database") && full.Load() {
			answer, _ := (&pgproto3.ErrorResponse{Severity: "ERROR", Code: "53100", Message: "could not write: No space left on device"}).Encode(nil)
			answer, _ = (&pgproto3.ReadyForQuery{TxStatus: 'I'}).Encode(answer)
			_, _ = client.Write(answer)
			continue
		}
		if _, err := server.Write(append(message, body...)); err != nil {
			return
		}
	}
}
