package signup

import (
	"slices"
	"strings"

	"homeroom/messages"
)

// Rules say what a sign-up must look like, beyond what holds everywhere.
type Rules struct {
	// NoPassword: the identity provider takes none, so none is chosen here.
	NoPassword bool
	// Fields are asked for besides.
	Fields Fields
	// AllowedDomains, if there are any, are the only ones whose e-mail addresses may sign up; DeniedDomains never may. Both
	// stand for their subdomains too, and are written as DNS has them.
	AllowedDomains, DeniedDomains []string
	// Disposable tells domains that give addresses away for minutes; nil lets them all in.
	Disposable func(domain string) bool
	// Account asks for what an account at /api/auth/sign-up has: a name, and a password with an upper-case letter, a digit and a
	// special character. Each of its rules that is broken is named.
	Account bool
	// NoSubAddresses refuses addresses such as ada+school@lincoln.example (RFC 5233), of which one person has any number.
	NoSubAddresses bool
}

// allowed checks whether a normalised address may sign up. What it says does not tell which rule it was: that belongs to nobody
// business, and would help whoever looks for a way around.
func (v *validation) allowed(email string, rules Rules) {
	local, domain, ok := strings.Cut(email, "@")
	if !ok {
		return // said already
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

// inDomains reports whether a domain is one of these, or below one.
func inDomains(domain string, domains []string) bool {
	return slices.ContainsFunc(domains, func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) })
}
