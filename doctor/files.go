package doctor

import (
	"context"
	"errors"
	"fmt"

	"homeroom/catalog"
)

// compareFiles checks whether this program's migration files are those of the tenants' schemas.
func (e *examination) compareFiles(ctx context.Context) error {
	if e.only != nil {
		return nil
	}
	set := e.cfg.Servers.Migrations()
	err := e.cfg.Catalog.CheckFiles(ctx, set)
	var changed *catalog.FilesError
	if err != nil && !errors.As(err, &changed) {
		return err
	}
	for _, fault := range catalog.ChangedFiles(err) {
		e.add(Finding{Code: MigrationsChanged, Subject: fault.File, Detail: fault.Problem})
	}
	ours, others := 0, 0
	for _, t := range e.after.Tenants {
		switch {
		case t.State == catalog.Building || beingDeleted(t):
		case t.Lineage == set.Lineage():
			ours++
		default:
			others++
		}
	}
	if others == 0 {
		return nil
	}
	finding := Finding{
		Code: MigrationsOfOthers, Subject: set.Lineage(),
		Detail: fmt.Sprintf("%d of %d tenants have other migrations than this program", others, ours+others),
	}
	if ours == 0 {
		finding.Severity = Warning
	}
	e.add(finding)
	return nil
}
