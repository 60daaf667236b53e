package doctor_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"homeroom/catalog"
	"homeroom/doctor"
	"homeroom/fleet"
	"homeroom/signup"
	"homeroom/tenant"
)

// TestNoFalseAlarms examines repeatedly while schools sign up, spares are built and tenants are reprovisioned.
func TestNoFalseAlarms(t *testing.T) {
	t.Parallel()
	const clients, each = 4, 8
	w := setup(t, 2, withOrganizations)
	ctx, cancel := context.WithCancel(t.Context())
	var service, work sync.WaitGroup
	service.Go(func() { _ = w.service.RunRefiller(ctx) })
	service.Go(func() { _ = w.service.Reconcile(ctx) })
	for range clients {
		work.Go(func() {
			for range each {
				outcome, err := w.service.Begin(ctx, request())
				if err != nil {
					t.Errorf("sign up: %v", err)
					return
				}
				if outcome.Result == nil {
					continue
				}
				school := outcome.Result.School
				request := signup.ReprovisionRequest{Tenant: school.ID.String(), By: catalog.Actor{Name: "test"}, Fresh: school.ID[15]%2 == 0, Confirm: school.Slug}
				if _, _, err := w.service.ReprovisionNow(ctx, request, nil); err != nil {
					t.Errorf("reprovision: %v", err)
				}
			}
		})
	}
	worked := make(chan struct{})
	go func() { defer close(worked); work.Wait() }()
	looks := 0
	for done := false; !done; looks++ {
		select {
		case <-worked:
			done = true // and examine once more
		default:
		}
		report, err := w.doctor.Examine(t.Context(), doctor.Options{Open: doctor.All})
		if err != nil {
			t.Fatal(err)
		}
		report.Findings = slices.DeleteFunc(report.Findings, func(f doctor.Finding) bool { return f.Code == doctor.ArchivedDatabase })
		if len(report.Findings) > 0 {
			t.Errorf("look %d:%s", looks, describe(report))
		}
	}
	cancel()
	service.Wait()
	if n := value[int](w, "select count(*) from tenants where state = 'ready'"); n != clients*each {
		t.Errorf("%d schools", n)
	}
	t.Logf("%d looks", looks)
}

// An examination with an ended context fails with its error.
func TestExamineEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.doctor.Examine(ctx, doctor.Options{Open: doctor.All}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestNoFalseAlarmsWhileMigrating examines repeatedly while schools are migrated down and up.
func TestNoFalseAlarmsWhileMigrating(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	var schools []string
	for range 4 {
		schools = append(schools, w.school().School.Database)
	}
	all, err := fleet.New(fleet.Config{Catalog: w.catalog, Servers: fleet.OnServers(tenant.Servers{"main": w.server}), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		latest := all.Version()
		for range 5 {
			for _, version := range []uint{latest - 1, latest} {
				if report, err := all.Run(t.Context(), fleet.Options{By: "test", Only: schools, To: &version}); err != nil || report.Run.Failed > 0 {
					t.Errorf("migrate to %d: %+v, %v", version, report.Run, err)
				}
			}
		}
	}()
	looks := 0
	for done := false; !done; looks++ {
		select {
		case <-worked:
			done = true
		default:
		}
		report, err := w.doctor.Examine(t.Context(), doctor.Options{Open: doctor.All})
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Findings) > 0 {
			t.Errorf("look %d:%s", looks, describe(report))
		}
	}
	t.Logf("%d looks", looks)
}
