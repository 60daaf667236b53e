package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// Severity is how serious a finding is.
type Severity string

// The severities.
const (
	// Error means that somebody is harmed, or will be.
	Error Severity = "error"
	// Warning means that something is wrong, and nobody is harmed yet.
	Warning Severity = "warning"
	// Info is information only.
	Info Severity = "info"
)

// Finding is one problem.
type Finding struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	// Subject is the name of the thing that it is about: a slug, a database, an account, a role, a server.
	Subject  string     `json:"subject"`
	Server   string     `json:"server,omitempty"`
	TenantID *uuid.UUID `json:"tenantId,omitempty"`
	SignupID *uuid.UUID `json:"signupId,omitempty"`
	// Detail is what was found, Advice what a person can do.
	Detail string `json:"detail"`
	Advice string `json:"advice"`
	// Fix is what [Doctor.Fix] would do; empty if only a person can repair it.
	Fix string `json:"fix,omitempty"`
	// Next are the steps that a person can take, in order; empty if they are not known in advance.
	Next []Step `json:"nextSteps"`

	repair repair
	// fingerprint is that of a schema that differs from its version's.
	fingerprint string
}

// repair does what Fix says. It checks again before it changes anything, and may be repeated.
type repair struct {
	// key is the same for findings that one repair removes.
	key string
	do  func(ctx context.Context) error
}

// key returns what two findings of the same problem have in common.
func (f Finding) key() string { return string(f.Code) + "\x00" + f.Server + "\x00" + f.Subject }

// Counts is the number of things that were checked.
type Counts struct {
	Tenants    int `json:"tenants"`
	Servers    int `json:"servers"`
	Identities int `json:"identities"`
	// Organizations are the schools' organizations at the identity provider.
	Organizations int `json:"organizations"`
	// Unfinished are the sign-ups in progress.
	Unfinished int `json:"unfinishedSignups"`
	// Opened are the databases that were opened.
	Opened int `json:"databasesOpened"`
	Jobs   int `json:"unfinishedJobs"`
}

// Report is the result of an examination.
type Report struct {
	// Findings are sorted by severity, the most serious first, then by code.
	Findings []Finding `json:"findings"`
	// Skipped says what was not checked, and why.
	Skipped   []string      `json:"skipped,omitempty"`
	Counts    Counts        `json:"lookedAt"`
	StartedAt time.Time     `json:"startedAt"`
	Duration  time.Duration `json:"-"`
	// NotificationQueues is the used share of each server's notification queue, from 0 to 1.
	NotificationQueues map[string]float64 `json:"notificationQueues"`

	// options are those of the examination, for the examination after the repairs.
	options Options
}

// HasProblems reports whether a finding is more than information.
func (r Report) HasProblems() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity != Info })
}

// ranks sort the severities.
var ranks = map[Severity]int{Error: 0, Warning: 1, Info: 2}

func sortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(ranks[a.Severity], ranks[b.Severity]), cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Server, b.Server), cmp.Compare(a.Subject, b.Subject))
	})
}

// add adds a finding. Its severity and advice are those of its code, unless it sets its own.
func (e *examination) add(f Finding) {
	kind, ok := codeInfos[f.Code]
	if !ok {
		panic(fmt.Sprintf("finding %q has no kind", f.Code))
	}
	f.Severity = cmp.Or(f.Severity, kind.severity)
	f.Advice = cmp.Or(f.Advice, e.cfg.Settings.Sprintf(kind.advice))
	if f.Next == nil {
		f.Next = []Step{}
	}
	if f.repair.do != nil && !slices.ContainsFunc(f.Next, Step.repairs) {
		f.Next = slices.Concat([]Step{repairAll}, f.Next)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.findings = append(e.findings, f)
}

// about returns a finding on a tenant.
func about(code Code, t catalog.SurveyedTenant, detail string) Finding {
	return Finding{Code: code, Subject: cmp.Or(t.Slug, t.Database), Server: t.Server, TenantID: &t.ID, Detail: detail}
}

// withRepair adds a repair to a finding.
func (f Finding) withRepair(by, key string, do func(ctx context.Context) error) Finding {
	f.Fix, f.repair = by, repair{key: key, do: do}
	return f
}
