package signup

import (
	"slices"
	"strings"

	"homeroom/messages"
)

// Rules are the configured rules for a sign-up, besides those that always apply.
type Rules struct {
	// NoPassword says that the identity provider takes no passwords, so that people choose none here.
	NoPassword bool
	// Fields are the additional fields.
	Fields Fields
	// AllowedDomains, if there are any, are the only domains whose e-mail addresses may sign up. DeniedDomains may
	// never sign up. Both include their subdomains, and are in their DNS form.
	AllowedDomains, DeniedDomains []string
	// Disposable are domains of services that give out addresses for some minutes; nil allows all domains.
	Disposable func(domain string) bool
	// Account requires what an account at /api/auth/sign-up has: a name, and a password with an upper-case letter, a
	// digit and a special character. Each broken rule is reported.
	Account bool
	// NoSubAddresses rejects addresses such as ada+school@lincoln.example (RFC 5233), of which one person can have any
	// number.
	NoSubAddresses bool
}

// allowed checks whether a normalised address may sign up. Its message does not say which rule applied, because that
// would help people who try to avoid the rule.
func (v *validation) allowed(email string, rules Rules) {
	local, domain, ok := strings.Cut(email, "@")
	if !ok {
		return // reported already
	}
	switch {
	case len(rules.AllowedDomains) > 0 && !inDomains(domain, rules.AllowedDomains),
		inDomains(domain, rules.DeniedDomains),
		rules.Disposable != nil && rules.Disposable(domain):
		v.add("email", "not_allowed", messages.ID("field.not_allowed"))
	case rules.NoSubAddresses && strings.Contains(local, "+"):
		v.add("email", "sub_address", messages.ID("field.sub_address"))
	}
}

// inDomains reports whether a domain is one of these, or a subdomain of one.
func inDomains(domain string, domains []string) bool {
	return slices.ContainsFunc(domains, func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) })
}
