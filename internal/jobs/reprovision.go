package jobs

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"homeroom/signup"
)

// ReprovisionTenant runs every provisioning step of a tenant again.
type ReprovisionTenant struct {
	TenantID uuid.UUID `json:"tenant_id"`
	// ArchiveName is the new name of the old database, which archives it; empty repairs it in place.
	ArchiveName string `json:"kept,omitempty"`
}

// Kind implements river.JobArgs.
func (ReprovisionTenant) Kind() string { return "reprovision_tenant" }

var _ signup.Queue = (*Queue)(nil)

// ReprovisionTx implements [signup.Queue].
func (q *Queue) ReprovisionTx(ctx context.Context, tx pgx.Tx, tenant uuid.UUID, archiveName string) error {
	_, err := q.client.InsertTx(ctx, tx, ReprovisionTenant{TenantID: tenant, ArchiveName: archiveName}, &river.InsertOpts{MaxAttempts: 100})
	if err != nil {
		return fmt.Errorf("queue the provisioning of tenant %s: %w", tenant, err)
	}
	return nil
}

// addSignups adds the worker that calls the service, to River's default queue.
func addSignups(work *work, pool *pgxpool.Pool, service *signup.Service) {
	work.queues[river.QueueDefault] = river.QueueConfig{MaxWorkers: 8}
	river.AddWorker(work.workers, river.WorkFunc(func(ctx context.Context, job *river.Job[ReprovisionTenant]) error {
		err := withJobLock(ctx, pool, job.ID, func() error { return service.RunReprovision(ctx, job.Args.TenantID, job.Args.ArchiveName) })
		if signup.NeedsOperator(err) {
			return river.JobCancel(err) // the tenant is quarantined, with the cause
		}
		return err
	}))
}
