package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/lifecycle"
	"homeroom/tenant"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type testEnv struct {
	store   *catalog.Store
	servers tenant.Servers
	server  *tenant.Server
}

func setup(t *testing.T) testEnv {
	t.Helper()
	store, err := catalog.Open(t.Context(), catalog.Config{URL: pgtest.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	server, err := tenant.Open(tenant.Config{URL: secret.String(pgtest.Server(t).URL("postgres")), Key: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	if err := store.RegisterServers(t.Context(), []string{"main"}); err != nil {
		t.Fatal(err)
	}
	return testEnv{store, tenant.Servers{"main": server}, server}
}

// spare creates a complete tenant.
func (w testEnv) spare(t *testing.T) tenant.ID {
	t.Helper()
	id := tenant.NewID()
	spare := catalog.NewSpare{ID: id.UUID(), Server: "main", Database: id.Database(), Lineage: w.server.Migrations().Lineage()}
	if err := w.store.InsertSpare(t.Context(), spare); err != nil {
		t.Fatal(err)
	}
	result, err := w.server.Ensure(t.Context(), id, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.MarkSpareBuilt(t.Context(), id.UUID(), catalog.Health{Version: result.Version}, []byte(`[]`)); err != nil {
		t.Fatal(err)
	}
	return id
}

func (w testEnv) rotation(t *testing.T, id tenant.ID) int {
	t.Helper()
	row, err := w.store.TenantByID(t.Context(), id.UUID())
	if err != nil {
		t.Fatal(err)
	}
	return row.PasswordRotation
}

// enter connects with the password of a rotation.
func (w testEnv) enter(t *testing.T, id tenant.ID, rotation int) (*pgx.Conn, error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.server.URL(id, rotation).Reveal())
	if err == nil {
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	}
	return conn, err
}

// noQueue fails on every call: the tenants here are spares, for which nothing is enqueued.
type noQueue struct{}

func (noQueue) ReprovisionTx(context.Context, pgx.Tx, uuid.UUID, string) error {
	return errors.New("queued for a spare")
}

func TestRotate(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.spare(t)
	session, err := w.enter(t, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	request := lifecycle.Rotation{Tenant: id.String(), By: catalog.Actor{Name: "auth0|operator", RequestID: "r1"}}
	row, err := lifecycle.Rotate(t.Context(), w.store, w.servers, noQueue{}, request)
	if err != nil || row.PasswordRotation != 1 || w.rotation(t, id) != 1 {
		t.Fatalf("rotation %d, %v", row.PasswordRotation, err)
	}
	if _, err := w.enter(t, id, 0); err == nil {
		t.Error("the former password is still valid")
	}
	if _, err := w.enter(t, id, 1); err != nil {
		t.Errorf("the new password is not valid: %v", err)
	}
	if err := session.Ping(t.Context()); err != nil {
		t.Errorf("a session was ended: %v", err)
	}
	request.EndSessions = true
	if _, err := lifecycle.Rotate(t.Context(), w.store, w.servers, noQueue{}, request); err != nil {
		t.Fatal(err)
	}
	if session.Ping(t.Context()) == nil {
		t.Error("a session that was opened with the former password was not ended")
	}
	events, err := w.store.Events(t.Context(), id.UUID(), 10)
	if err != nil || len(events) != 2 || events[0].Action != "tenant.rotate" || events[0].Actor != "auth0|operator" || *events[0].RequestID != "r1" ||
		!bytes.Contains(events[0].Details, []byte(`"endSessions": true`)) {
		t.Errorf("audit: %+v, %v", events, err)
	}
}

func TestRotationsAtTheSameTimeEndWithThePasswordOfTheLast(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.spare(t)
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			if _, err := lifecycle.Rotate(t.Context(), w.store, w.servers, noQueue{}, lifecycle.Rotation{Tenant: id.String(), By: catalog.Actor{Name: "operator"}}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if rotation := w.rotation(t, id); rotation != 5 {
		t.Errorf("rotation %d, want 5", rotation)
	}
	if _, err := w.enter(t, id, 5); err != nil {
		t.Error(err)
	}
}

// TestAnInterruptedRotationIsCompletedByARepair: the catalog has the new rotation, the role the former password.
func TestAnInterruptedRotationIsCompletedByARepair(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.spare(t)
	err := w.store.InTx(t.Context(), func(tx pgx.Tx) error {
		_, err := w.store.RaiseRotationTx(t.Context(), tx, id.UUID())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := w.server.Inspect(t.Context(), id, w.rotation(t, id)); err != nil || found.CanLogin {
		t.Errorf("the interrupted rotation is not found: %+v, %v", found.CanLogin, err)
	}
	if _, err := w.server.Ensure(t.Context(), id, w.rotation(t, id), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.enter(t, id, 0); err == nil {
		t.Error("the former password is still valid")
	}
	if _, err := w.enter(t, id, 1); err != nil {
		t.Error(err)
	}
}

func TestRotateRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if _, err := lifecycle.Rotate(t.Context(), w.store, w.servers, noQueue{}, lifecycle.Rotation{Tenant: uuid.NewString()}); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	id := tenant.NewID()
	spare := catalog.NewSpare{ID: id.UUID(), Server: "main", Database: id.Database(), Lineage: w.server.Migrations().Lineage()}
	if err := w.store.InsertSpare(t.Context(), spare); err != nil {
		t.Fatal(err)
	}
	if _, err := lifecycle.Rotate(t.Context(), w.store, w.servers, noQueue{}, lifecycle.Rotation{Tenant: id.String()}); !errors.Is(err, lifecycle.ErrNotProvisioned) {
		t.Errorf("one that is being built: %v", err)
	}
}
