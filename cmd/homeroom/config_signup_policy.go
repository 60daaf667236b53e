package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"homeroom/admission"
	"homeroom/identity"
	"homeroom/internal/captcha"
	"homeroom/internal/httpapi"
	"homeroom/internal/secret"
	"homeroom/signup"
)

// SignupPolicyConfig holds the rules for sign-ups, and the limits on their number.
type SignupPolicyConfig struct {
	SignupAllowedDomains domains        `env:"HOMEROOM_SIGNUP_ALLOWED_DOMAINS" help:"domains, separated by commas, of the e-mail addresses that may sign up, with their subdomains; all when empty"`
	SignupDeniedDomains  domains        `env:"HOMEROOM_SIGNUP_DENIED_DOMAINS" help:"domains, separated by commas, of the e-mail addresses that may not sign up, with their subdomains; none when empty"`
	SignupDisposable     string         `env:"HOMEROOM_SIGNUP_DISPOSABLE" choices:"allow,deny" envDefault:"allow" help:"allow or deny e-mail addresses of services with disposable addresses"`
	SignupDisposableList string         `env:"HOMEROOM_SIGNUP_DISPOSABLE_LIST" is:"file" help:"file with the domains of such services, one on each line, which replaces the built-in list"`
	SignupSubaddress     string         `env:"HOMEROOM_SIGNUP_SUBADDRESS" choices:"allow,deny" envDefault:"allow" help:"allow or deny e-mail addresses with a +, such as ada+school@lincoln.example, since one person can have any number of them"`
	SignupFields         fields         `env:"HOMEROOM_SIGNUP_FIELDS" help:"further fields of a sign-up, such as givenName:required,phone,company: of givenName, familyName, company, phone, address, region, locality, postalCode"`
	SignupBudgetMinute   budget         `env:"HOMEROOM_SIGNUP_BUDGET_MINUTE" help:"sign-ups that the whole service accepts in a minute; no limit when 0. 60 when empty, or no limit where HOMEROOM_SIGNUP_RATE is off"`
	SignupBudgetDay      budget         `env:"HOMEROOM_SIGNUP_BUDGET_DAY" help:"sign-ups that the whole service accepts in a day; no limit when 0. 2000 when empty, or no limit where HOMEROOM_SIGNUP_RATE is off"`
	SignupSession        bool           `env:"HOMEROOM_SIGNUP_SESSION" envDefault:"false" help:"makes /api/auth/sign-up log people in after they signed up, where the identity provider can do that"`
	SignupOAuth          oauthProviders `env:"HOMEROOM_SIGNUP_OAUTH" help:"OAuth providers that /api/auth/sign-up offers, with their names at the identity provider, such as google=google-oauth2,github=github; of google, github, gitlab, azure-ad, slack"`
	SignupOAuthRate      rate           `env:"HOMEROOM_SIGNUP_OAUTH_RATE" envDefault:"20/1h" help:"sign-ups by OAuth that a client address may begin, such as 20/1h; off"`
	Captcha              string         `env:"HOMEROOM_CAPTCHA" choices:"turnstile,hcaptcha" help:"the CAPTCHA that a sign-up must solve: turnstile or hcaptcha; none when empty"`
	CaptchaSecret        secret.String  `env:"HOMEROOM_CAPTCHA_SECRET" help:"its secret key"`
	CaptchaVerifyURL     string         `env:"HOMEROOM_CAPTCHA_VERIFY_URL" is:"url" help:"the URL that verifies it, for a simulator; the provider's own when empty"`
	CaptchaHostnames     []string       `env:"HOMEROOM_CAPTCHA_HOSTNAMES" help:"hosts, separated by commas, of the pages on which it may be solved; all hosts of its site key when empty"`
}

// domains are domain names as in DNS.
type domains []string

// UnmarshalText reads "lincoln.example, müll.example".
func (d *domains) UnmarshalText(text []byte) (err error) {
	*d, err = signup.ParseDomains(string(text))
	return err
}

// fields are the further fields of a sign-up.
type fields struct{ asked signup.Fields }

// UnmarshalText reads "givenName:required,phone".
func (f *fields) UnmarshalText(text []byte) (err error) {
	f.asked, err = signup.ParseFields(string(text))
	return err
}

// budget is a number of sign-ups, if one was set.
type budget struct{ count *int }

// UnmarshalText reads "60".
func (b *budget) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 {
		return errors.New("use a number of sign-ups such as 60, or 0 for no limit")
	}
	b.count = &n
	return nil
}

// signupBudget returns the limits of the whole service. The defaults limit how many schools somebody with many
// addresses can create. An operator who has turned off the limit of each address (limited is false) gets no default
// limits.
func (c SignupPolicyConfig) signupBudget(limited bool) admission.Budget {
	var all admission.Budget
	if limited {
		all = admission.Budget{Minute: 60, Day: 2000}
	}
	if n := c.SignupBudgetMinute.count; n != nil {
		all.Minute = *n
	}
	if n := c.SignupBudgetDay.count; n != nil {
		all.Day = *n
	}
	return all
}

// oauthProviders maps Homeroom's names of OAuth providers to the identity provider's names.
type oauthProviders struct{ names map[string]string }

// UnmarshalText reads "google=google-oauth2,github=github".
func (w *oauthProviders) UnmarshalText(text []byte) error {
	w.names = map[string]string{}
	for part := range strings.SplitSeq(string(text), ",") {
		ours, theirs, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || ours == "" || theirs == "" || w.names[ours] != "" {
			return fmt.Errorf("%q is not a name and what the identity provider calls it, such as google=google-oauth2", part)
		}
		if !slices.Contains(httpapi.OAuthProviders(), ours) {
			return fmt.Errorf("%q is not an OAuth provider that Homeroom knows: use %s", ours, listed(httpapi.OAuthProviders()))
		}
		w.names[ours] = theirs
	}
	return nil
}

// rules returns the rules that a sign-up must follow.
func (c SignupPolicyConfig) rules() (signup.Rules, error) {
	rules := signup.Rules{
		Fields: c.SignupFields.asked, AllowedDomains: c.SignupAllowedDomains, DeniedDomains: c.SignupDeniedDomains,
		NoSubAddresses: c.SignupSubaddress == "deny",
	}
	if c.SignupDisposable != "deny" {
		return rules, nil
	}
	rules.Disposable = signup.EmbeddedDisposable().Has
	if c.SignupDisposableList == "" {
		return rules, nil
	}
	text, err := os.ReadFile(c.SignupDisposableList)
	if err != nil {
		return signup.Rules{}, err
	}
	list, err := signup.ReadDisposable(bytes.NewReader(text))
	if err != nil {
		return signup.Rules{}, err
	}
	rules.Disposable = list.Has
	return rules, nil
}

// applySignupPolicy configures the API's sign-up, and returns what is wrong with its settings.
func (c SignupPolicyConfig) applySignupPolicy(into *httpConfig, provider identity.Provider) (wrong []problem) {
	into.admission.Budget = c.signupBudget(into.admission.Rate != nil)
	into.api.OAuth, into.api.OAuthRate = c.SignupOAuth.names, c.SignupOAuthRate.allowance
	into.pages.OAuth = c.SignupOAuth.names
	if c.SignupSession {
		sessions, ok := provider.(identity.SessionOpener)
		if !ok {
			wrong = append(wrong, problem{"HOMEROOM_SIGNUP_SESSION", "is true, and with this identity provider Homeroom cannot log people in: leave it out"})
		}
		into.api.Sessions = sessions
	}
	if c.Captcha == "" {
		return wrong
	}
	if c.CaptchaSecret == "" {
		return append(wrong, problem{"HOMEROOM_CAPTCHA_SECRET", "is not set: HOMEROOM_CAPTCHA needs it, the secret key of your site"})
	}
	verifier, err := captcha.New(captcha.Config{
		Provider: captcha.Provider(c.Captcha), Secret: c.CaptchaSecret, VerifyURL: c.CaptchaVerifyURL, Hostnames: c.CaptchaHostnames,
	})
	if err != nil {
		return append(wrong, problem{"HOMEROOM_CAPTCHA", fmt.Sprintf("cannot be used: %v", err)})
	}
	into.admission.Captcha = verifier
	return wrong
}
