package hosted

import (
	"net/url"
	"slices"
	"strings"
)

// ReturnURL is where a person is sent on to: the address asked for, if it is allowed, or else the first that is. It is empty
// where none was asked for and none is allowed. It fails with [ErrReturnURL].
//
// An address is allowed when everything before its query is one of [Config.ReturnURLs], letter for letter. Nothing is parsed
// to find that out, so nothing can be read in one way here and in another one by a browser.
func (p *Provider) ReturnURL(requested string) (string, error) {
	if requested == "" {
		if len(p.cfg.ReturnURLs) == 0 {
			return "", nil
		}
		return p.cfg.ReturnURLs[0], nil
	}
	base, query, _ := strings.Cut(requested, "?")
	if len(requested) > maxURLLength || !slices.Contains(p.cfg.ReturnURLs, base) {
		return "", ErrReturnURL
	}
	harmless := func(r rune) bool { return r > ' ' && r < 0x7f && r != '#' && r != '\\' }
	if strings.ContainsFunc(query, func(r rune) bool { return !harmless(r) }) {
		return "", ErrReturnURL
	}
	if _, err := url.ParseQuery(query); err != nil {
		return "", ErrReturnURL
	}
	return requested, nil
}

// FormAction is the form-action of a policy for a page with a form that sends people on. That ends, by redirects, at the
// application, and from there perhaps at its own login; some browsers hold all of it against the policy, which therefore cannot
// name every address. On this machine they have plain http.
func (p *Provider) FormAction() string {
	if !p.secure {
		return "'self' https: http:"
	}
	return "'self' https:"
}

// ReturnOrigins are the origins of the addresses to which people may be sent on.
func (p *Provider) ReturnOrigins() []string {
	var origins []string
	for _, text := range p.cfg.ReturnURLs {
		u, err := url.Parse(text)
		if err != nil {
			continue // New has read it
		}
		origins = append(origins, u.Scheme+"://"+u.Host)
	}
	slices.Sort(origins)
	return slices.Compact(origins)
}

// WithQuery adds parameters to an address that [Provider.ReturnURL] allowed. They replace those of the same names.
func WithQuery(address string, params map[string]string) string {
	base, raw, _ := strings.Cut(address, "?")
	query, err := url.ParseQuery(raw)
	if err != nil {
		query = url.Values{} // ReturnURL has read it
	}
	for name, value := range params {
		query.Set(name, value)
	}
	return base + "?" + query.Encode()
}
