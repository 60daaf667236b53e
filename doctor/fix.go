package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
)

// Plan lists the findings of a report that Fix would mend, in the order in which it would.
func (d *Doctor) Plan(report Report) []Finding {
	plan := slices.DeleteFunc(slices.Clone(report.Findings), func(f Finding) bool { return f.repair.do == nil })
	// What a school has comes before what may serve as a spare.
	slices.SortStableFunc(plan, func(a, b Finding) int { return cmp.Compare(turnOf(a), turnOf(b)) })
	return plan
}

func turnOf(f Finding) int {
	if f.Code == LostSchool {
		return 0
	}
	return 1
}

// Fix mends what a report of this process has found, one finding after the other, and tells how each went. Every repair looks
// again before it acts, and leaves alone what has changed since: then its error is [catalog.ErrStateChanged]. Findings with
// the same repair are mended by one. It fails when ctx ends.
func (d *Doctor) Fix(ctx context.Context, report Report, told func(Finding, error)) error {
	done := map[string]error{}
	for _, finding := range d.Plan(report) {
		err, again := done[finding.repair.key]
		if !again {
			killpoint.Here("doctor.chosen")
			if err = finding.repair.do(ctx); err == nil {
				killpoint.Here("doctor.mended")
				err = d.record(ctx, finding)
			}
			killpoint.Here("doctor.recorded")
			done[finding.repair.key] = err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		told(finding, err)
	}
	return nil
}

// record keeps for ever what was mended.
func (d *Doctor) record(ctx context.Context, f Finding) error {
	details, err := json.Marshal(map[string]string{"code": string(f.Code), "subject": f.Subject, "server": f.Server, "fix": f.Fix})
	if err != nil {
		return fmt.Errorf("write audit details: %w", err)
	}
	return d.cfg.Catalog.Record(ctx, catalog.Event{
		Actor: d.cfg.Actor, Action: "doctor.fix", TenantID: f.TenantID, SignupID: f.SignupID, Details: details,
	})
}
