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

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	// Error: somebody is harmed, or will be.
	Error Severity = "error"
	// Warning: something is not as it should be, and nobody is harmed yet.
	Warning Severity = "warning"
	// Info: worth knowing.
	Info Severity = "info"
)

// Finding is one thing that is not as it should be.
type Finding struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	// Subject is what it is about, as people name it: a slug, a database, a login, a role, a server.
	Subject  string     `json:"subject"`
	Server   string     `json:"server,omitempty"`
	TenantID *uuid.UUID `json:"tenantId,omitempty"`
	SignupID *uuid.UUID `json:"signupId,omitempty"`
	// Detail is what was found, Advice what a person can do.
	Detail string `json:"detail"`
	Advice string `json:"advice"`
	// Fix is what [Doctor.Fix] would do; empty when only a person can.
	Fix string `json:"fix,omitempty"`
	// Next are the steps that a person can take, in their order; empty where none can be told in advance.
	Next []Step `json:"nextSteps"`

	repair repair
	// fingerprint is that of a schema which is not its version's.
	fingerprint string
}

// repair does what Fix says. It checks again before it acts, and may be done twice.
type repair struct {
	// key is the same for findings that one repair removes.
	key string
	do  func(ctx context.Context) error
}

// key reports whether two looks have found the same thing.
func (f Finding) key() string { return string(f.Code) + "\x00" + f.Server + "\x00" + f.Subject }

// Counts is what was looked at.
type Counts struct {
	Tenants    int `json:"tenants"`
	Servers    int `json:"servers"`
	Identities int `json:"identities"`
	// Organizations are those that the identity provider has for schools.
	Organizations int `json:"organizations"`
	// Unfinished are the sign-ups under way.
	Unfinished int `json:"unfinishedSignups"`
	// Opened are the databases that were looked into.
	Opened int `json:"databasesOpened"`
	Jobs   int `json:"unfinishedJobs"`
}

// Report is what an examination has found.
type Report struct {
	// Findings are sorted: the worst first, those of one kind together.
	Findings []Finding `json:"findings"`
	// Skipped says what was not looked at, and why.
	Skipped   []string      `json:"skipped,omitempty"`
	Counts    Counts        `json:"lookedAt"`
	StartedAt time.Time     `json:"startedAt"`
	Duration  time.Duration `json:"-"`
	// NotificationQueues is how full each server's queue of notifications is, from 0 to 1.
	NotificationQueues map[string]float64 `json:"notificationQueues"`

	// options are those of the examination, for the examination after the repairs.
	options Options
}

// HasProblems reports whether something is wrong: a finding that is more than information.
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

// add notes a finding; its severity and the advice are those of its code, unless it says otherwise.
func (e *examination) add(f Finding) {
	kind, ok := codeInfos[f.Code]
	if !ok {
		panic(fmt.Sprintf("finding %q has no kind", f.Code))
	}
	f.Severity = cmp.Or(f.Severity, kind.severity)
	f.Advice = cmp.Or(f.Advice, kind.advice)
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

// about is a finding on a tenant.
func about(code Code, t catalog.SurveyedTenant, detail string) Finding {
	return Finding{Code: code, Subject: cmp.Or(t.Slug, t.Database), Server: t.Server, TenantID: &t.ID, Detail: detail}
}

// withRepair completes a finding with its repair.
func (f Finding) withRepair(by, key string, do func(ctx context.Context) error) Finding {
	f.Fix, f.repair = by, repair{key: key, do: do}
	return f
}
