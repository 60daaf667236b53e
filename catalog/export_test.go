package catalog

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// DeleteOldTx is [Store.DeleteOld] in a transaction of the test, which keeps the rows locked.
func DeleteOldTx(ctx context.Context, tx pgx.Tx, table Table, age time.Duration, limit int) (int64, error) {
	return deleteOld(ctx, tx, table, age, limit)
}
