package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"homeroom/identity"
	"homeroom/internal/captcha"
	"homeroom/internal/httpapi"
	"homeroom/internal/secret"
	"homeroom/signup"
)

// DoorConfig is the part of the environment that is about what a sign-up must look like, and how many there may be.
type DoorConfig struct {
	SignupAllowedDomains domains       `env:"SIGNUP_ALLOWED_DOMAINS" help:"domains, separated by commas, whose e-mail addresses alone may sign up, with their subdomains; all when empty"`
	SignupDeniedDomains  domains       `env:"SIGNUP_DENIED_DOMAINS" help:"domains, separated by commas, whose e-mail addresses may not sign up, with their subdomains; none when empty"`
	SignupDisposable     choice        `env:"SIGNUP_DISPOSABLE" envDefault:"allow" help:"allow or deny e-mail addresses of services that give them away for minutes"`
	SignupDisposableList string        `env:"SIGNUP_DISPOSABLE_LIST" help:"file with the domains of such services, one on each line, instead of the few best known ones"`
	SignupSubaddress     choice        `env:"SIGNUP_SUBADDRESS" envDefault:"allow" help:"allow or deny e-mail addresses such as ada+school@lincoln.example, of which a person has any number"`
	SignupFields         fields        `env:"SIGNUP_FIELDS" help:"what else a sign-up asks for, such as givenName:required,phone,company: of givenName, familyName, company, phone, address, region, locality, postalCode"`
	SignupBudgetMinute   int           `env:"SIGNUP_BUDGET_MINUTE" envDefault:"0" help:"sign-ups a minute that the whole service takes; no limit when 0"`
	SignupBudgetDay      int           `env:"SIGNUP_BUDGET_DAY" envDefault:"0" help:"sign-ups a day that the whole service takes; no limit when 0"`
	SignupSession        bool          `env:"SIGNUP_SESSION" envDefault:"false" help:"has /api/auth/sign-up log people in who have signed up, where the identity provider can"`
	SignupOAuth          oauthWays     `env:"SIGNUP_OAUTH" help:"what the identity provider calls the ways in that /api/auth/sign-up offers, such as google=google-oauth2,github=github; of google, github, gitlab, azure-ad, slack"`
	SignupOAuthRate      rate          `env:"SIGNUP_OAUTH_RATE" envDefault:"20/1h" help:"sign-ups by OAuth that a client address may begin, such as 20/1h; off"`
	Captcha              string        `env:"CAPTCHA" help:"the CAPTCHA that a sign-up must have solved: turnstile or hcaptcha; none when empty"`
	CaptchaSecret        secret.String `env:"CAPTCHA_SECRET" help:"its secret key"`
	CaptchaVerifyURL     string        `env:"CAPTCHA_VERIFY_URL" help:"where it is verified, for a simulator; the provider's own address when empty"`
	CaptchaHostnames     []string      `env:"CAPTCHA_HOSTNAMES" help:"hosts, separated by commas, of the pages that it may have been solved on; all that its site key is for when empty"`
}

// domains are domains as DNS has them.
type domains []string

// UnmarshalText reads "lincoln.example, müll.example".
func (d *domains) UnmarshalText(text []byte) (err error) {
	*d, err = signup.ReadDomains(string(text))
	return err
}

// choice is allow or deny.
type choice string

// UnmarshalText reads it.
func (c *choice) UnmarshalText(text []byte) error {
	if *c = choice(text); *c != "allow" && *c != "deny" {
		return errors.New("it must be allow or deny")
	}
	return nil
}

// fields are what a sign-up asks for.
type fields struct{ asked signup.Fields }

// UnmarshalText reads "givenName:required,phone".
func (f *fields) UnmarshalText(text []byte) (err error) {
	f.asked, err = signup.ReadFields(string(text))
	return err
}

// oauthWays are the identity provider's names of ways in, by ours.
type oauthWays struct{ names map[string]string }

// UnmarshalText reads "google=google-oauth2,github=github".
func (w *oauthWays) UnmarshalText(text []byte) error {
	w.names = map[string]string{}
	for part := range strings.SplitSeq(string(text), ",") {
		ours, theirs, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || ours == "" || theirs == "" || w.names[ours] != "" {
			return fmt.Errorf("%q is not a name and what the identity provider calls it, such as google=google-oauth2", part)
		}
		w.names[ours] = theirs
	}
	return nil
}

// rules are what a sign-up must look like.
func (c DoorConfig) rules() (signup.Rules, error) {
	rules := signup.Rules{
		Fields: c.SignupFields.asked, AllowedDomains: c.SignupAllowedDomains, DeniedDomains: c.SignupDeniedDomains,
		NoSubAddresses: c.SignupSubaddress == "deny",
	}
	if c.SignupDisposable != "deny" {
		return rules, nil
	}
	rules.Disposable = signup.KeptDisposable().Has
	if c.SignupDisposableList == "" {
		return rules, nil
	}
	text, err := os.ReadFile(c.SignupDisposableList)
	if err != nil {
		return signup.Rules{}, fmt.Errorf("SIGNUP_DISPOSABLE_LIST: %w", err)
	}
	list, err := signup.ReadDisposable(bytes.NewReader(text))
	if err != nil {
		return signup.Rules{}, fmt.Errorf("SIGNUP_DISPOSABLE_LIST: %s: %w", c.SignupDisposableList, err)
	}
	rules.Disposable = list.Has
	return rules, nil
}

// door has the API let people in as configured.
func (c DoorConfig) door(into *httpapi.Config, provider identity.Provider) error {
	into.SignupBudget = httpapi.Budget{Minute: c.SignupBudgetMinute, Day: c.SignupBudgetDay}
	into.OAuth, into.OAuthRate = c.SignupOAuth.names, c.SignupOAuthRate.allowance
	if c.SignupSession {
		sessions, ok := provider.(identity.SessionOpener)
		if !ok {
			return errors.New("SIGNUP_SESSION=true: this identity provider logs nobody in for us")
		}
		into.Sessions = sessions
	}
	if c.Captcha == "" {
		return nil
	}
	verifier, err := captcha.New(captcha.Config{
		Provider: captcha.Provider(c.Captcha), Secret: c.CaptchaSecret, VerifyURL: c.CaptchaVerifyURL, Hostnames: c.CaptchaHostnames,
	})
	if err != nil {
		return fmt.Errorf("CAPTCHA: %w", err)
	}
	into.Captcha = verifier
	return nil
}
