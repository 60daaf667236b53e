package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
)

// Plan returns the findings of a report that Fix would repair, in order.
func (d *Doctor) Plan(report Report) []Finding {
	plan := slices.DeleteFunc(slices.Clone(report.Findings), func(f Finding) bool { return f.repair.do == nil })
	// A new key comes before its uses, and what a school has before what may serve as a spare.
	slices.SortStableFunc(plan, func(a, b Finding) int { return cmp.Compare(repairOrder(a), repairOrder(b)) })
	return plan
}

func repairOrder(f Finding) int {
	switch f.Code {
	case TenantKeyDiffers:
		return 0
	case LostSchool:
		return 1
	}
	return 2
}

// NotRepairedError says that a repair ended without an error, but its finding still exists.
type NotRepairedError struct {
	// Finding is what the examination after the repairs found.
	Finding Finding
}

// Error implements error. It says what a person must do.
func (e *NotRepairedError) Error() string {
	sentences := []string{"the repair had no effect: " + e.Finding.Detail + ".", e.Finding.Advice}
	for _, step := range e.Finding.Next {
		sentences = append(sentences, step.String())
	}
	return strings.TrimRight(strings.Join(sentences, " "), ".")
}

// Fix repairs the findings of a report of this process, one after the other. Every repair checks again before it
// changes anything, and does nothing if something has changed since: then its error is [catalog.ErrStateChanged].
// Findings with the same repair are repaired once.
//
// Afterwards it examines again with the same options, and then reports the result of each finding: nil if it is gone,
// which is recorded in the audit log, and a [*NotRepairedError] if it is not. It returns the findings of that
// examination. It fails when ctx ends, or a new tenant key cannot be recorded; earlier repairs are then not in the
// audit log, and the next examination finds the rest.
func (d *Doctor) Fix(ctx context.Context, report Report, onResult func(Finding, error)) (Report, error) {
	plan := d.Plan(report)
	done := map[string]error{}
	for _, finding := range plan {
		if _, again := done[finding.repair.key]; again {
			continue
		}
		killpoint.Here("doctor.chosen")
		err := finding.repair.do(ctx)
		if ctx.Err() != nil {
			return report, ctx.Err()
		}
		if err == nil {
			killpoint.Here("doctor.repaired")
		}
		if err != nil && finding.Code == TenantKeyDiffers {
			return report, err // no role may get a password of a key that is not recorded
		}
		done[finding.repair.key] = err
	}
	after, err := d.Examine(ctx, report.options)
	if err != nil {
		return report, fmt.Errorf("examine after the repairs: %w", err)
	}
	recorded := map[string]bool{}
	for _, finding := range plan {
		err := done[finding.repair.key]
		if err == nil {
			err = after.stillThere(finding)
		}
		if err == nil && !recorded[finding.repair.key] {
			err = d.record(ctx, finding)
			recorded[finding.repair.key] = true
			killpoint.Here("doctor.recorded")
		}
		onResult(finding, err)
	}
	return after, ctx.Err()
}

// stillThere returns an error if a report has the same finding. A finding that is now less severe, and left to a
// person, was repaired as far as possible.
func (r Report) stillThere(f Finding) error {
	i := slices.IndexFunc(r.Findings, func(g Finding) bool {
		return g.key() == f.key() && equal(g.SignupID, f.SignupID) && ranks[g.Severity] <= ranks[f.Severity]
	})
	if i < 0 {
		return nil
	}
	return &NotRepairedError{r.Findings[i]}
}

// equal compares two ids that may be nil.
func equal(a, b *uuid.UUID) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// record records a repair in the audit log, without a limit of time.
func (d *Doctor) record(ctx context.Context, f Finding) error {
	return d.cfg.Catalog.Record(ctx, catalog.NewEvent(catalog.Actor{Name: d.cfg.Actor}, "doctor.fix").About(f.TenantID, f.SignupID).With(
		map[string]string{"code": string(f.Code), "subject": f.Subject, "server": f.Server, "fix": f.Fix}))
}
