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

// Plan lists the findings of a report that Fix would repair, in the order in which it would.
func (d *Doctor) Plan(report Report) []Finding {
	plan := slices.DeleteFunc(slices.Clone(report.Findings), func(f Finding) bool { return f.repair.do == nil })
	// A new key comes before what is done with it, and what a school has before what may serve as a spare.
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

// NotRepairedError says that a repair ended without an error, and that its finding is there all the same.
type NotRepairedError struct {
	// Finding is what the examination after the repairs found.
	Finding Finding
}

// Error implements error. It says what a person must do.
func (e *NotRepairedError) Error() string {
	sentences := []string{"it was tried, and is still so: " + e.Finding.Detail + ".", e.Finding.Advice}
	for _, step := range e.Finding.Next {
		sentences = append(sentences, step.String())
	}
	return strings.TrimRight(strings.Join(sentences, " "), ".")
}

// Fix repairs what a report of this process has found, one finding after the other. Every repair checks again before it acts,
// and leaves alone what has changed since: then its error is [catalog.ErrStateChanged]. Findings with the same repair are
// repaired by one.
//
// When all are done it examines again, as the report's examination did, and only then tells how each finding went: nil for one
// that is gone, which is kept in the audit, and a [*NotRepairedError] for one that is not. It returns what that examination
// found. It fails when ctx ends, or a new tenant key cannot be recorded; what was repaired until then is not in the audit, and the next examination finds what is left.
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
		return report, fmt.Errorf("look whether the repairs have helped: %w", err)
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

// stillThere is an error when a report has the same finding. What is less severe now, and left to a person, was repaired as far
// as it can be.
func (r Report) stillThere(f Finding) error {
	i := slices.IndexFunc(r.Findings, func(g Finding) bool {
		return g.key() == f.key() && equal(g.SignupID, f.SignupID) && ranks[g.Severity] <= ranks[f.Severity]
	})
	if i < 0 {
		return nil
	}
	return &NotRepairedError{r.Findings[i]}
}

// equal compares two ids that may be missing.
func equal(a, b *uuid.UUID) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// record keeps for ever what was repaired.
func (d *Doctor) record(ctx context.Context, f Finding) error {
	return d.cfg.Catalog.Record(ctx, catalog.NewEvent(d.cfg.Actor, "doctor.fix", "").About(f.TenantID, f.SignupID).With(
		map[string]string{"code": string(f.Code), "subject": f.Subject, "server": f.Server, "fix": f.Fix}))
}
