package catalog_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
)

// resume leases a sign-up that needs an operator to a new holder.
func resume(t *testing.T, store *catalog.Store, s catalog.Signup) (resumed catalog.Signup, err error) {
	t.Helper()
	err = store.InTx(t.Context(), func(tx pgx.Tx) (err error) {
		resumed, err = store.ResumeTx(t.Context(), tx, s, time.Minute)
		return err
	})
	return resumed, err
}

// needsOperator leaves a sign-up to an operator.
func needsOperator(t *testing.T, store *catalog.Store, s catalog.Signup) {
	t.Helper()
	if err := store.NeedsOperator(t.Context(), s, json.RawMessage(`[]`), json.RawMessage(`{"code":"needs_operator"}`)); err != nil {
		t.Fatal(err)
	}
}

func TestAResumedSignupGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	store := setup(t)
	spare(t, store)
	reservation, err := store.Reserve(t.Context(), reserveParams(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resume(t, store, reservation.Signup); !errors.Is(err, catalog.ErrStateChanged) {
		t.Errorf("one that goes on: %v", err)
	}
	for _, status := range []catalog.Status{catalog.Pending, catalog.Provisioning} {
		needsOperator(t, store, reservation.Signup)
		row, err := store.Signup(t.Context(), reservation.Signup.ID)
		if err != nil || row.Status != catalog.NeedsOperator || row.CheckAt != nil || row.FinishedAt != nil || row.TenantID == nil {
			t.Fatalf("%+v, %v", row, err)
		}
		resumed, err := resume(t, store, row)
		if err != nil || resumed.Status != status || resumed.Problem != nil || resumed.CheckAt == nil || resumed.LeaseEpoch != row.LeaseEpoch+1 {
			t.Fatalf("%+v, %v", resumed, err)
		}
		if _, err := resume(t, store, row); !errors.Is(err, catalog.ErrStateChanged) {
			t.Errorf("twice: %v", err)
		}
		reservation.Signup = resumed
		err = store.RecordIdentity(t.Context(), reservation.Signup, catalog.Identity{ID: "auth0|1"}, json.RawMessage(`[]`), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The identity that an operator could not judge may name the tenant, so no school gets it: the refiller discards it.
func TestTheTenantOfASignupThatIsUndoneByAnOperatorIsGivenToNobody(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string]bool{"a spare": true, "one that was being built": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := setup(t)
			if claims {
				spare(t, store)
			}
			reservation, err := store.Reserve(t.Context(), reserveParams(1))
			if err != nil {
				t.Fatal(err)
			}
			needsOperator(t, store, reservation.Signup)
			if err := store.Expire(t.Context(), reservation.Signup, json.RawMessage(`[]`), json.RawMessage(`{"code":"undone"}`), 0); err != nil {
				t.Fatal(err)
			}
			if err := store.RecheckDone(t.Context(), reservation.Signup); err != nil {
				t.Fatal(err)
			}
			discardable, err := store.DiscardableSpares(t.Context(), "main", "lunch")
			if err != nil || len(discardable) != 1 || discardable[0].ID != reservation.Tenant.ID {
				t.Errorf("to be discarded: %+v, %v", discardable, err)
			}
			if n := value[int](t, store, "select count(*) from users"); n != 0 {
				t.Errorf("%d users are left", n)
			}
			again, err := store.Reserve(t.Context(), reserveParams(1))
			if err != nil || again.Tenant.ID == reservation.Tenant.ID || again.Tenant.Slug != "lincoln-high" {
				t.Errorf("the next school got %+v, %v", again.Tenant, err)
			}
		})
	}
}

// script reads a file of the catalog's migrations.
func script(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../migrations/catalog/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSignupsThatNeededAnOperatorBeforeThereWasAStatusForIt(t *testing.T) {
	t.Parallel()
	store := setup(t)
	exec(t, store, script(t, "000011_needs_operator.down.sql"))
	exec(t, store, `
		insert into tenants (id, server, database, lineage, state, name, slug)
		values ('00000000-0000-0000-0000-000000000001', 'main', 't_aaaaaaaaaaaaaaaaaaaaaaaaaa', 'lunch', 'reserved', 'School', 'school');
		insert into users (id, email) values ('00000000-0000-0000-0000-000000000002', 'ada@lincoln.example');
		insert into signups (id, request_hash, user_id, tenant_id, email, school_name, status, finished_at)
		select gen_random_uuid(), '', coalesce(user_id::uuid, gen_random_uuid()), tenant_id::uuid, 'ada@lincoln.example', name, 'failed', now()
		from (values
			('with its tenant', '00000000-0000-0000-0000-000000000001', null),
			('with its user', null, '00000000-0000-0000-0000-000000000002'),
			('undone', null, null)
		) as row (name, tenant_id, user_id)`)
	exec(t, store, script(t, "000011_needs_operator.up.sql"))
	for status, want := range map[catalog.Status][]string{
		catalog.NeedsOperator: {"with its tenant", "with its user"},
		catalog.Failed:        {"undone"},
	} {
		names := value[[]string](t, store, "select array_agg(school_name order by school_name) from signups where status = '"+string(status)+
			"' and (finished_at is null) = (status = 'needs_operator')")
		if !slices.Equal(names, want) {
			t.Errorf("%s: %q, want %q", status, names, want)
		}
	}
	// An older program that still runs must not leave one in a state where it is not found.
	if _, err := store.Pool().Exec(t.Context(), "update signups set status = 'failed' where tenant_id is not null"); err == nil {
		t.Error("a sign-up can fail and keep its tenant")
	}
	exec(t, store, script(t, "000011_needs_operator.down.sql"))
	if n := value[int](t, store, "select count(*) from signups where status = 'failed' and finished_at is not null"); n != 3 {
		t.Errorf("%d sign-ups have failed for the former program, want 3", n)
	}
}
