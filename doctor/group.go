package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// minGroupSize is how many findings of one kind with one cause are replaced by one finding.
const minGroupSize = 3

// group replaces findings with the same cause by one: another server behind a server's URL, another key, a migration
// file that was changed. Most of these have no repair: when the cause is repaired, the rest is right again.
func (e *examination) group() {
	switch other := e.cfg.KeyCheck != nil && !bytes.Equal(e.key, e.cfg.KeyCheck); {
	case other && e.options.NewTenantKey:
		e.add(e.recordKey(e.keyDiffers()))
	case other && e.key != nil:
		e.groupByKey()
	}
	for server := range e.servers {
		used, opened := e.countTenants(server)
		e.merge(used, func(f Finding) bool { return f.Code == DatabaseMissing && f.Server == server }, func(n int) Finding {
			return Finding{
				Code: DatabasesMissing, Subject: server, Server: server,
				Detail: fmt.Sprintf("the databases of %d of %s are missing", n, count(used, "tenant")),
			}
		})
		e.groupRefused(server, opened)
	}
	same := map[string]bool{}
	for _, f := range e.findings {
		if f.fingerprint == "" || same[f.fingerprint] {
			continue
		}
		same[f.fingerprint] = true
		version := e.after.Tenants[*f.TenantID].SchemaVersion
		var names []string
		e.merge(0, func(g Finding) bool {
			is := g.fingerprint == f.fingerprint && e.after.Tenants[*g.TenantID].SchemaVersion == version
			if is {
				names = append(names, g.Subject)
			}
			return is
		}, func(n int) Finding {
			names = slices.Compact(slices.Sorted(slices.Values(names)))
			shown := strings.Join(names[:min(len(names), 10)], ", ")
			if len(names) > 10 {
				shown += " and others"
			}
			return Finding{
				Code: ReferenceDiffers, Subject: fmt.Sprintf("schema version %d", version),
				Detail: fmt.Sprintf("%d tenants have the same schema at this version, and it differs from that of new tenants: %s", n, shown),
			}.withSteps(f.Next...)
		})
	}
	sortFindings(e.findings)
}

// merge replaces several findings by one, if they are more than half of so many things, and reports whether it did.
// gone is called for those that it removes.
func (e *examination) merge(of int, is func(Finding) bool, one func(n int) Finding, gone ...func(Finding)) bool {
	n := 0
	for _, f := range e.findings {
		if is(f) {
			n++
		}
	}
	if n < minGroupSize || 2*n <= of {
		return false
	}
	for _, f := range e.findings {
		for _, see := range gone {
			if is(f) {
				see(f)
			}
		}
	}
	e.findings = slices.DeleteFunc(e.findings, is)
	e.add(one(n))
	return true
}

func isLoginRefused(f Finding) bool { return f.Code == LoginRefused || f.Code == SpareUnusable }

// groupByKey reports only that the tenant key has changed. Nothing is repaired with that key: it would change correct
// passwords.
func (e *examination) groupByKey() {
	e.findings = slices.DeleteFunc(e.findings, isLoginRefused)
	e.dropRepairs(func(Finding) bool { return true })
	e.add(e.keyDiffers())
}

func (e *examination) keyDiffers() Finding {
	return Finding{
		Code: TenantKeyDiffers, Subject: e.cfg.Settings.Of("TenantKey"), Detail: "the passwords of this catalog's tenants were made with another key",
	}
}

// keyCertain reports whether the tenant key is the right one: its check value is in the catalog, or is about to be.
func (e *examination) keyCertain() bool {
	return e.cfg.KeyCheck != nil && (e.key != nil || e.options.NewTenantKey)
}

// groupRefused reports one server whose roles are refused. All of them get their passwords again only if the catalog
// says that the key is the right one.
func (e *examination) groupRefused(server string, opened int) {
	var repairs []repair
	merged := e.merge(opened, func(f Finding) bool { return isLoginRefused(f) && f.Server == server }, func(n int) Finding {
		return Finding{
			Code: LoginsRefused, Subject: server, Server: server, Detail: e.cfg.Settings.Sprintf(
				"the roles of %d of %s that were tried cannot enter their databases with the passwords of $TenantKey", n, count(opened, "tenant")),
		}
	}, func(f Finding) { repairs = append(repairs, f.repair) })
	if !merged {
		return
	}
	if !e.keyCertain() {
		e.dropRepairs(func(f Finding) bool { return f.Server == server && strings.HasPrefix(f.repair.key, ensureKey) })
		return
	}
	i := slices.IndexFunc(e.findings, func(f Finding) bool { return f.Code == LoginsRefused && f.Server == server })
	e.findings[i] = e.findings[i].withSteps(repairAll).withRepair("run the provisioning steps of these tenants again, which gives their roles the passwords of this key",
		"logins "+server, func(ctx context.Context) error {
			var all error
			for _, r := range repairs {
				if r.do != nil && ctx.Err() == nil {
					all = errors.Join(all, r.do(ctx))
				}
			}
			return all
		})
}

// dropRepairs removes the repairs of findings.
func (e *examination) dropRepairs(of func(Finding) bool) {
	for i, f := range e.findings {
		if of(f) {
			f.Fix, f.repair = "", repair{}
			f.Next = slices.DeleteFunc(slices.Clone(f.Next), Step.repairs)
			e.findings[i] = f
		}
	}
}

// countTenants returns how many tenants of a server are in use, and how many of them were opened in the first pass.
func (e *examination) countTenants(server string) (used, opened int) {
	for id, t := range e.after.Tenants {
		if t.Server == server && !beingMade(t) && (e.only == nil || e.only[id]) {
			used++
		}
	}
	first := e
	if e.previous != nil {
		first = e.previous
	}
	for id, seen := range first.inspections {
		if seen.err == nil && e.after.Tenants[id].Server == server {
			opened++
		}
	}
	return used, opened
}
