package hosted

import (
	"crypto/rand"
	"encoding/base64"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/oauth2"
)

// Options are the optional parameters of a registration. They may come from a link that anybody can create.
type Options struct {
	// SchoolName is stored in the flow state.
	SchoolName string
	// ReturnTo is the return URL; see [Provider.ReturnURL].
	ReturnTo string
	// LoginHint prefills the field for the e-mail address, or the telephone number.
	LoginHint string
	// Locales are the person's languages, the preferred first, separated by spaces.
	Locales string
	// Prompt is OpenID Connect's: none, login, consent, select_account, create, or several separated by spaces.
	Prompt string
	// Connection is the name of a connection (a way to log in) at the provider, such as google-oauth2 at Auth0.
	Connection string
	// Organization is the provider's id (or name) of an organization to log in to.
	Organization string
	// Invitation is the secret of an invitation's mail. With an Organization it is the provider's, and is sent to it;
	// without one it is ours, and is stored in the flow state.
	Invitation string
	// Confirm is the secret of the mail that confirms a sign-up: the person logs in instead of registering.
	Confirm string
}

const (
	maxHintLength = 254
	maxNameLength = 400 // bytes: 100 characters of any script
	maxURLLength  = 500
)

var (
	localesPattern = regexp.MustCompile(`^[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8})*( [A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8})*){0,9}$`)
	idPattern      = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
	secretPattern  = regexp.MustCompile(`^[!-~]{1,256}$`)
	prompts        = []string{"none", "login", "consent", "select_account", "create"}
)

// check fails with an *[OptionError] for an invalid option.
func (o Options) check() error {
	matches := func(pattern *regexp.Regexp, text string) bool { return text == "" || pattern.MatchString(text) }
	requested := strings.Fields(o.Prompt)
	switch {
	case !isText(o.SchoolName, maxNameLength):
		return &OptionError{"school_name"}
	case !isText(o.LoginHint, maxHintLength):
		return &OptionError{"login_hint"}
	case !matches(localesPattern, o.Locales):
		return &OptionError{"ui_locales"}
	case slices.ContainsFunc(requested, func(p string) bool { return !slices.Contains(prompts, p) }),
		len(requested) > 1 && slices.Contains(requested, "none"), len(requested) > len(prompts):
		return &OptionError{"prompt"}
	case !matches(idPattern, o.Connection):
		return &OptionError{"connection"}
	case !matches(idPattern, o.Organization):
		return &OptionError{"organization"}
	case !matches(secretPattern, o.Invitation):
		return &OptionError{"invitation"}
	case !matches(secretPattern, o.Confirm):
		return &OptionError{"confirm"}
	}
	return nil
}

func isText(text string, most int) bool {
	return len(text) <= most && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// Redirect begins a flow in a browser.
type Redirect struct {
	// URL is the authorization URL.
	URL string
	// Cookies are the cookies to set: that of this flow, and those that delete old ones.
	Cookies []*http.Cookie
}

// Start begins a flow in the browser that sent r. It fails with an *[OptionError], [ErrReturnURL], an
// *[identity.Unavailable] or an *[identity.Misconfigured].
func (p *Provider) Start(r *http.Request, o Options) (Redirect, error) {
	if err := o.check(); err != nil {
		return Redirect{}, err
	}
	returnTo, err := p.ReturnURL(o.ReturnTo)
	if err != nil {
		return Redirect{}, err
	}
	provider, err := p.discover(r.Context())
	if err != nil {
		return Redirect{}, err
	}
	m := flow{
		Nonce: random(), Verifier: oauth2.GenerateVerifier(), BeganAt: p.cfg.Now().Unix(), Organization: o.Organization,
		State: FlowState{ID: random(), SchoolName: o.SchoolName, ReturnTo: returnTo, Locales: o.Locales, Silent: o.Prompt == "none", Confirm: o.Confirm},
	}
	if o.Organization == "" {
		m.State.Invitation = o.Invitation
	}
	cookie, err := p.seal(m)
	if err != nil {
		return Redirect{}, err
	}
	return Redirect{URL: p.authorizationURL(provider, m, o), Cookies: append(p.pruneCookies(r), cookie)}, nil
}

// authorizationURL returns the authorization request. The operator's parameters replace those of the caller of
// /register, and the parameters of the flow's security replace both.
func (p *Provider) authorizationURL(provider *providerMetadata, m flow, o Options) string {
	params := map[string]string{}
	add := func(name, value string) {
		if value != "" {
			params[name] = value
		}
	}
	add("login_hint", o.LoginHint)
	add("ui_locales", o.Locales)
	add("connection", o.Connection)
	add("organization", o.Organization)
	if o.Organization != "" {
		add("invitation", o.Invitation)
	}
	if o.Prompt == "" && o.Confirm == "" && provider.supportsPromptCreate && p.cfg.RegisterURL == "" {
		add("prompt", "create")
	}
	maps.Copy(params, p.cfg.Params)
	add("prompt", o.Prompt)
	if o.Confirm != "" {
		// The person must log in now: the browser may have a session of somebody else.
		delete(params, "screen_hint")
		params["prompt"] = "login"
	}

	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(m.Verifier), oauth2.SetAuthURLParam("nonce", m.Nonce)}
	for name, value := range params {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	return provider.oauth.AuthCodeURL(m.State.ID, options...)
}

// random returns 256 random bits as text.
func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
