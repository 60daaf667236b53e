package hosted

import (
	"net/url"
	"slices"
	"strings"
)

// ReturnURL returns the URL to which a person is redirected at the end: the requested one, or else the first allowed
// one. It is empty if none is requested and none is allowed. It fails with [ErrReturnURL] for a requested URL that is
// not allowed.
//
// A URL is allowed if everything before its query equals one of [Config.ReturnURLs]. The strings are compared without
// parsing, so a browser cannot read the URL in another way.
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

// FormAction returns the form-action of the Content-Security-Policy for a page with a form that redirects people. The redirects
// end at the application, or at its own login; some browsers check all of them against the policy, which therefore cannot list
// every URL. On loopback they are plain http.
func (p *Provider) FormAction() string {
	if !p.secure {
		return "'self' https: http:"
	}
	return "'self' https:"
}

// ReturnOrigins returns the origins of the allowed return URLs, sorted.
func (p *Provider) ReturnOrigins() []string {
	var origins []string
	for _, text := range p.cfg.ReturnURLs {
		u, err := url.Parse(text)
		if err != nil {
			continue // New has parsed it
		}
		origins = append(origins, u.Scheme+"://"+u.Host)
	}
	slices.Sort(origins)
	return slices.Compact(origins)
}

// WithQuery adds parameters to a URL that [Provider.ReturnURL] returned. They replace those of the same names.
func WithQuery(address string, params map[string]string) string {
	base, raw, _ := strings.Cut(address, "?")
	query, err := url.ParseQuery(raw)
	if err != nil {
		query = url.Values{} // ReturnURL has parsed it
	}
	for name, value := range params {
		query.Set(name, value)
	}
	return base + "?" + query.Encode()
}
