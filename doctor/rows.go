package doctor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// compareRows finds contradictions within the catalog. The survey is a snapshot, so no change in it is incomplete.
func (e *examination) compareRows() {
	holders := map[uuid.UUID][]catalog.SurveyedSignup{} // by tenant; members share it with its school
	byUser := map[uuid.UUID]bool{}
	for _, s := range e.after.Signups {
		e.compareSignup(s)
		if s.TenantID != nil && s.Kind == catalog.School {
			holders[*s.TenantID] = append(holders[*s.TenantID], s)
		}
		byUser[s.UserID] = true
	}
	owners := map[uuid.UUID]int{} // active users, by tenant
	for _, u := range e.after.Users {
		t := e.after.Tenants[u.TenantID]
		switch {
		case u.Active:
			owners[u.TenantID]++
			if hasNoSchool(t) {
				e.add(userWithoutTenant(u, t))
			}
		case !byUser[u.ID]:
			e.add(userFinding(UserWithoutSignup, u, "the user is pending, and no sign-up is about it"))
		}
	}
	for id, t := range e.after.Tenants {
		e.compareTenant(t, holders[id], owners[id])
	}
}

// hasNoSchool reports whether a tenant's state says that no school uses it.
func hasNoSchool(t catalog.SurveyedTenant) bool {
	state := t.State
	if t.ResumeState != nil {
		state = *t.ResumeState
	}
	return state == catalog.Building || state == catalog.Spare || state == catalog.Reserved
}

// beingDeleted reports whether a tenant is being deleted for an operator.
func beingDeleted(t catalog.SurveyedTenant) bool {
	return t.State == catalog.Deleting || t.State == catalog.Deleted
}

// userWithoutTenant returns the finding on an active user whose tenant is no school's. A spare is the most serious
// case: the next school would get it.
func userWithoutTenant(u catalog.SurveyedUser, t catalog.SurveyedTenant) Finding {
	finding := userFinding(UserWithoutTenant, u, fmt.Sprintf("the user is active, and tenant %s is %s", t.Database, t.State))
	if t.State == catalog.Spare {
		if t.Claimable {
			finding.Detail += ": the next school would get this user's database"
		}
		finding.Advice = "Quarantine it at once, then compare with a backup: somebody has changed rows by hand."
		finding = finding.withSteps(inCatalog("In the catalog run", fmt.Sprintf("update tenants set state = 'quarantined', resume_state = 'spare', "+
			"quarantine_kind = 'database', quarantine_cause = 'an active user has it' where id = '%s' and state = 'spare'", t.ID)))
	}
	return finding
}

func userFinding(code Code, u catalog.SurveyedUser, detail string) Finding {
	f := Finding{Code: code, Subject: "user " + u.ID.String(), Detail: detail}
	if u.TenantID != uuid.Nil {
		f.TenantID = &u.TenantID
	}
	return f
}

// compareTenant checks which sign-ups have a tenant.
func (e *examination) compareTenant(t catalog.SurveyedTenant, holders []catalog.SurveyedSignup, owners int) {
	if t.State == catalog.Deleted {
		e.compareDeleted(t, owners)
		return
	}
	replaced := t.QuarantineKind != nil && *t.QuarantineKind == catalog.BeingReplaced
	if t.State == catalog.Quarantined && (t.Idle || !replaced) {
		e.add(about(TenantQuarantined, t, *t.QuarantineCause))
	}
	if t.State == catalog.Ready && owners == 0 {
		e.add(about(TenantWithoutUser, t, "the school is ready, and has no active user"))
	}
	if len(holders) > 1 {
		ids := make([]string, len(holders))
		for i, s := range holders {
			ids[i] = s.ID.String()
		}
		slices.Sort(ids)
		e.add(about(TenantShared, t, fmt.Sprintf("%d sign-ups have this tenant: %s", len(holders), strings.Join(ids, ", "))))
	}
	if len(holders) == 0 && t.Name != "" && (t.State == catalog.Reserved || t.State == catalog.Building) {
		e.add(about(TenantHeldByNobody, t, fmt.Sprintf("it is %s for a school, and no sign-up has it", t.State)))
	}
}

// compareSignup checks whether a sign-up has a worker, and whether its user and tenant agree with it. Findings contain
// no e-mails, because they are logged.
func (e *examination) compareSignup(s catalog.SurveyedSignup) {
	finding := Finding{Subject: "sign-up " + s.ID.String(), TenantID: s.TenantID, SignupID: &s.ID}
	switch {
	case s.Unattended:
		finding.Code = SignupUnattended
		finding.Detail = fmt.Sprintf("the sign-up is %s, and has been due since %s", s.Status, s.CheckAt.UTC().Format(time.RFC3339))
		e.add(e.reconcile(finding))
	case s.Status == catalog.NeedsOperator:
		finding.Code, finding.Detail = SignupNeedsOperator, failedStep(s)
		e.add(e.resume(finding, s))
	case s.Status == catalog.SignupReady && s.TenantID != nil && !beingDeleted(e.after.Tenants[*s.TenantID]):
		u, ok := e.after.Users[s.UserID]
		if ok && u.Active && u.TenantID == *s.TenantID {
			return
		}
		finding.Code = SignupWithoutSchool
		switch {
		case !ok:
			finding.Detail = "the sign-up is ready, and its user does not exist"
		case !u.Active:
			finding.Detail = "the sign-up is ready, and its user is not active"
		default:
			finding.Detail = "the sign-up is ready, and its user belongs to another tenant"
		}
		e.add(finding)
	}
}

// failedStep returns the step at which a sign-up that needs an operator stopped.
func failedStep(s catalog.SurveyedSignup) string {
	var steps []struct{ Name, Problem string }
	var problem struct{ Code string }
	_ = json.Unmarshal(s.Steps, &steps) // unreadable steps are omitted
	_ = json.Unmarshal(s.Problem, &problem)
	step := "an unknown step"
	if n := len(steps); n > 0 {
		step = "step " + steps[n-1].Name
	}
	return fmt.Sprintf("the sign-up stopped at %s: %s", step, cmp.Or(problem.Code, "no problem is recorded"))
}

// compareJobs finds jobs without an effect. A job is written together with the row that it is about, or after it.
func (e *examination) compareJobs() {
	for _, job := range e.jobs {
		finding := Finding{Subject: fmt.Sprintf("job %d", job.ID), TenantID: job.TenantID}
		switch {
		case job.TenantID != nil && !e.known(*job.TenantID):
			finding.Code, finding.Detail = JobWithoutRow, "what this "+job.Kind+" is about has no row in the catalog"
			e.add(e.cancelJob(finding, job))
		case job.Stuck:
			finding.Code, finding.Detail = JobStuck, job.Kind+" has been running for more than 15 minutes"
			e.add(finding)
		}
	}
}
