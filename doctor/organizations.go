package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
)

// organizations are the schools' organizations at the provider.
type organizations struct {
	// listed reports whether the list was read completely.
	listed bool
	byID   map[string]identity.Organization
}

// of is the organization of a school; the zero value if none is known. If there are several, it is the one with the
// lowest id.
func (o organizations) of(tenantID uuid.UUID) (found identity.Organization) {
	for _, org := range o.byID {
		if parseID(org.TenantID) == tenantID && (found.ID == "" || org.ID < found.ID) {
			found = org
		}
	}
	return found
}

// organizationLister returns the provider if it manages organizations.
func (d *Doctor) organizationLister() (identity.OrganizationLister, bool) {
	lister, ok := d.cfg.Identity.(identity.OrganizationLister)
	return lister, ok && lister.ManagesOrganizations()
}

// listOrganizations reads all organizations that were created for schools. An examination of single tenants omits it.
func (e *examination) listOrganizations(ctx context.Context) error {
	lister, ok := e.organizationLister()
	if !ok || e.only != nil {
		return nil
	}
	all := map[string]identity.Organization{}
	err := lister.ListOrganizations(ctx, func(org identity.Organization) error {
		all[org.ID] = org
		return nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		e.addUnlisted(err)
		return nil
	}
	e.organizations = organizations{listed: true, byID: all}
	return nil
}

func (e *examination) addUnlisted(err error) {
	e.add(Finding{Code: IdentitiesUnreachable, Subject: "identity provider's organizations", Detail: reason(err)})
}

// compareOrganizations looks up every organization on which the provider and the catalog disagree, since the list may
// be outdated.
func (e *examination) compareOrganizations(ctx context.Context) error {
	if !e.organizations.listed {
		return nil
	}
	unexplained, missing := e.unexplainedOrganizations(), e.schoolsWithoutOrganization()
	if suspects := len(unexplained) + len(missing); suspects > maxLookups {
		e.add(Finding{
			Code: IdentitiesUnconfirmed, Subject: "identity provider's organizations",
			Detail: fmt.Sprintf("%d of %s and schools differ; only %d were checked one by one", suspects,
				count(len(e.organizations.byID), "organization"), maxLookups),
		})
	}
	unexplained = unexplained[:min(len(unexplained), maxLookups)]
	missing = missing[:min(len(missing), maxLookups-len(unexplained))]
	for _, org := range unexplained {
		if err := e.compareUnexplainedOrganization(ctx, org); err != nil {
			return e.providerError(ctx, err)
		}
	}
	for _, t := range missing {
		if err := e.compareMissingOrganization(ctx, t); err != nil {
			return e.providerError(ctx, err)
		}
	}
	return nil
}

// providerError returns the finding on an error of the provider.
func (e *examination) providerError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e.addUnlisted(err)
	return nil
}

// unexplainedOrganizations returns the organizations that the catalog explained neither before nor after.
func (e *examination) unexplainedOrganizations() (unexplained []identity.Organization) {
	explained := make(map[string]bool, len(e.organizations.byID))
	for _, survey := range []catalog.Survey{e.before, e.after} {
		for id := range explainedBy(survey, e.organizations.byID) {
			explained[id] = true
		}
	}
	for id, org := range e.organizations.byID {
		if !explained[id] {
			unexplained = append(unexplained, org)
		}
	}
	slices.SortFunc(unexplained, func(a, b identity.Organization) int { return cmp.Compare(a.ID, b.ID) })
	return unexplained
}

// explainedBy returns the organizations that belong to their school, and those whose sign-up is in progress or needs an
// operator: the catalog records an organization when its school is ready.
func explainedBy(survey catalog.Survey, all map[string]identity.Organization) map[string]bool {
	underWay := map[uuid.UUID]bool{} // sign-ups and tenants
	for id, s := range survey.Signups {
		if s.Status == catalog.SignupReady {
			continue
		}
		if underWay[id] = true; s.TenantID != nil {
			underWay[*s.TenantID] = true
		}
	}
	explained := map[string]bool{}
	for id, org := range all {
		t, known := survey.Tenants[parseID(org.TenantID)]
		if underWay[parseID(org.SignupID)] || known && (underWay[t.ID] || t.State == catalog.Deleting ||
			t.State != catalog.Deleted && t.OrganizationID == id) {
			explained[id] = true
		}
	}
	return explained
}

// compareUnexplainedOrganization checks an organization that no school has. One with members is never removed: its
// members show that the catalog may be wrong.
func (e *examination) compareUnexplainedOrganization(ctx context.Context, org identity.Organization) error {
	lister, _ := e.organizationLister()
	empty, err := lister.OrganizationEmpty(ctx, org.ID)
	if err != nil {
		return err
	}
	finding := Finding{Code: OrganizationWithoutSchool, Subject: org.ID}
	t, known := e.after.Tenants[parseID(org.TenantID)]
	if id := parseID(org.TenantID); id != uuid.Nil {
		finding.TenantID = &id
	}
	switch {
	case !known:
		finding.Detail = fmt.Sprintf("organization %q is of tenant %q, which the catalog does not know", org.Name, org.TenantID)
	case t.State == catalog.Deleted:
		finding.Detail = fmt.Sprintf("organization %q is of a school that was deleted", org.Name)
	case t.OrganizationID != "":
		finding.Detail = fmt.Sprintf("organization %q is of a school that has %s in the catalog", org.Name, t.OrganizationID)
	default:
		finding.Detail = fmt.Sprintf("organization %q is of tenant %s, which has none in the catalog", org.Name, t.Database)
	}
	switch {
	case empty:
		finding.Detail += "; it has no members"
		finding = e.removeOrganization(finding, org)
	case known && t.OrganizationID == "" && inUse(t):
		finding.Detail += "; its school's people are members"
		finding = e.recordOrganization(finding, t, org)
	default:
		finding.Detail += "; it has members"
	}
	e.add(finding)
	return nil
}

// inUse reports whether a tenant's state says that a school uses it.
func inUse(t catalog.SurveyedTenant) bool {
	return !hasNoSchool(t) && t.State != catalog.Deleting && t.State != catalog.Deleted
}

// removeOrganization adds the repair that removes an organization without members, if no sign-up needs it meanwhile.
func (e *examination) removeOrganization(f Finding, org identity.Organization) Finding {
	lister, _ := e.organizationLister()
	by := "remove the organization, if it has no members"
	return f.withRepair(by, "organization "+org.ID, func(ctx context.Context) error {
		now, err := e.cfg.Catalog.Survey(ctx)
		if err != nil {
			return err
		}
		removed := false
		if !explainedBy(now, map[string]identity.Organization{org.ID: org})[org.ID] {
			removed, err = lister.RemoveEmptyOrganization(ctx, org)
		}
		if err == nil && !removed {
			err = fmt.Errorf("organization %s is needed now: %w", org.ID, catalog.ErrStateChanged)
		}
		return err
	})
}

// recordOrganization adds the repair that writes the school's organization into the catalog.
func (e *examination) recordOrganization(f Finding, t catalog.SurveyedTenant, org identity.Organization) Finding {
	return f.withRepair("record it as the school's", "organization of "+t.Database, func(ctx context.Context) error {
		return e.cfg.Catalog.SetOrganization(ctx, t.ID, "", org.ID)
	})
}

// schoolsWithoutOrganization returns the schools whose organization is not in the list. It omits a school that has
// changed a short while ago, since the lists of organizations and of members may not show the change yet.
func (e *examination) schoolsWithoutOrganization() (missing []catalog.SurveyedTenant) {
	for id := range e.after.Tenants {
		t, steady := e.stableTenant(id)
		_, listed := e.organizations.byID[t.OrganizationID]
		if steady && !listed && t.State == catalog.Ready && t.OrganizationID != "" && e.before.Tenants[id].Idle {
			missing = append(missing, t)
		}
	}
	slices.SortFunc(missing, func(a, b catalog.SurveyedTenant) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return missing
}

// compareMissingOrganization checks whether a school's organization is gone. One with members exists: the list was
// outdated.
func (e *examination) compareMissingOrganization(ctx context.Context, t catalog.SurveyedTenant) error {
	lister, _ := e.organizationLister()
	gone, err := lister.OrganizationEmpty(ctx, t.OrganizationID)
	if err == nil && gone {
		detail := fmt.Sprintf("its organization %s is not at the identity provider", t.OrganizationID)
		e.add(e.restoreMemberships(about(OrganizationMissing, t, detail), t))
	}
	return err
}

// restoreMemberships adds the repair that gives the people of a school their memberships again, first the owner, for
// whom a new organization is created. The catalog records the organization last; after a crash in between, the next
// repair finds what exists.
func (e *examination) restoreMemberships(f Finding, t catalog.SurveyedTenant) Finding {
	memberships, ok := identity.MembershipManagerOf(e.cfg.Identity)
	people := e.membershipsOf(t)
	if !ok || len(people) == 0 || people[0].Role != identity.RoleOwner {
		return f
	}
	lister, _ := e.organizationLister()
	by := "create it again, and assign the school's people to it"
	return f.withRepair(by, "organization of "+t.Database, func(ctx context.Context) error {
		if _, err := e.unchanged(ctx, t); err != nil {
			return err
		}
		if gone, err := lister.OrganizationEmpty(ctx, t.OrganizationID); err != nil || !gone {
			return cmp.Or(err, fmt.Errorf("organization %s exists again: %w", t.OrganizationID, catalog.ErrStateChanged))
		}
		var made identity.Assignment
		for i, membership := range people {
			assignment, err := memberships.Assign(ctx, membership)
			if i > 0 && errors.Is(err, identity.ErrNotFound) {
				continue // a missing account is a finding of its own
			}
			if err != nil {
				return err
			}
			made = cmp.Or(made, assignment)
		}
		return e.cfg.Catalog.SetOrganization(ctx, t.ID, t.OrganizationID, made.OrganizationID)
	})
}

// membershipsOf returns the memberships of a school's active users, the owner's first.
func (e *examination) membershipsOf(t catalog.SurveyedTenant) (people []identity.Membership) {
	signups := map[uuid.UUID]catalog.SurveyedSignup{} // by user
	for _, s := range e.after.Signups {
		if s.TenantID != nil && *s.TenantID == t.ID {
			signups[s.UserID] = s
		}
	}
	for _, u := range e.after.Users {
		if !u.Active || u.TenantID != t.ID {
			continue
		}
		membership := identity.Membership{
			UserID: u.IdentityID, TenantID: t.ID, SignupID: signups[u.ID].ID, SchoolName: t.Name, Slug: t.Slug, Role: u.Role,
		}
		if signups[u.ID].IdentityID == nil {
			membership.OurID = u.ID
		}
		people = append(people, membership)
	}
	rank := func(e identity.Membership) int {
		if e.Role == identity.RoleOwner {
			return 0
		}
		return 1
	}
	slices.SortFunc(people, func(a, b identity.Membership) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.UserID, b.UserID))
	})
	return people
}
