package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"homeroom/admission"
	"homeroom/identity"
	"homeroom/signup"
)

// policyOf reads a configuration, and configures the API with its signup policy.
func policyOf(t *testing.T, provider identity.Provider, environ ...string) (signup.Rules, httpConfig, error) {
	t.Helper()
	cfg, err := readConfig(valid(environ...))
	if err != nil {
		return signup.Rules{}, httpConfig{}, err
	}
	rules, err := cfg.rules()
	if err != nil {
		return signup.Rules{}, httpConfig{}, err
	}
	var h httpConfig
	return rules, h, problemsError(cfg.applySignupPolicy(&h, provider))
}

func TestSignupPolicyByDefault(t *testing.T) {
	t.Parallel()
	rules, h, err := policyOf(t, unconfigured{})
	if err != nil {
		t.Fatal(err)
	}
	if rules.Disposable != nil || len(rules.Fields)+len(rules.AllowedDomains)+len(rules.DeniedDomains) > 0 || rules.NoSubAddresses {
		t.Errorf("there are rules: %+v", rules)
	}
	if h.admission.Captcha != nil || h.api.Sessions != nil || h.admission.Budget != (admission.Budget{}) || len(h.api.OAuth) > 0 {
		t.Errorf("something is in the way: %+v", h)
	}
}

func TestSignupPolicyAsConfigured(t *testing.T) {
	t.Parallel()
	list := filepath.Join(t.TempDir(), "disposable.txt")
	if err := os.WriteFile(list, []byte("# ours\nwegwerf.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := readConfig(valid(
		"HOMEROOM_SIGNUP_ALLOWED_DOMAINS=lincoln.example,Müll.example", "HOMEROOM_SIGNUP_DENIED_DOMAINS=x.lincoln.example", "HOMEROOM_SIGNUP_DISPOSABLE=deny",
		"HOMEROOM_SIGNUP_DISPOSABLE_LIST="+list, "HOMEROOM_SIGNUP_SUBADDRESS=deny", "HOMEROOM_SIGNUP_FIELDS=givenName:required,phone", "HOMEROOM_SIGNUP_BUDGET_MINUTE=3",
		"HOMEROOM_SIGNUP_BUDGET_DAY=40", "HOMEROOM_SIGNUP_OAUTH=google=google-oauth2, azure-ad=windowslive", "HOMEROOM_CAPTCHA=hcaptcha", "HOMEROOM_CAPTCHA_SECRET=hush-hush",
		"HOMEROOM_CAPTCHA_HOSTNAMES=a.example,b.example",
	))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := cfg.rules()
	if err != nil {
		t.Fatal(err)
	}
	if !rules.Disposable("wegwerf.example") || rules.Disposable("mailinator.com") {
		t.Error("the configured list does not replace the built-in one")
	}
	rules.Disposable = nil
	if want := (signup.Rules{
		AllowedDomains: []string{"lincoln.example", "xn--mll-hoa.example"}, DeniedDomains: []string{"x.lincoln.example"}, NoSubAddresses: true,
		Fields: signup.Fields{"givenName": signup.Required, "phone": signup.Optional},
	}); !reflect.DeepEqual(rules, want) {
		t.Errorf("the rules are %+v", rules)
	}
	var h httpConfig
	if err := problemsError(cfg.applySignupPolicy(&h, unconfigured{})); err != nil {
		t.Fatal(err)
	}
	ways := map[string]string{"google": "google-oauth2", "azure-ad": "windowslive"}
	if h.admission.Budget != (admission.Budget{Minute: 3, Day: 40}) || !reflect.DeepEqual(h.api.OAuth, ways) || h.admission.Captcha == nil {
		t.Errorf("the API is told %+v", h)
	}
	if h.api.OAuthRate == nil || h.api.OAuthRate.Count != 20 {
		t.Errorf("OAuth may be begun %+v", h.api.OAuthRate)
	}
}

func TestTheWholeServiceHasABudgetOfSignUps(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]admission.Budget{
		"":                              {Minute: 60, Day: 2000},
		"HOMEROOM_SIGNUP_RATE=off":      {},
		"HOMEROOM_SIGNUP_BUDGET_DAY=40": {Minute: 60, Day: 40},
		"HOMEROOM_SIGNUP_BUDGET_MINUTE=0 HOMEROOM_SIGNUP_BUDGET_DAY=0": {},
		"HOMEROOM_SIGNUP_RATE=off HOMEROOM_SIGNUP_BUDGET_MINUTE=7":     {Minute: 7},
	} {
		cfg, err := readConfig(valid(strings.Fields(settings)...))
		if err != nil {
			t.Fatal(err)
		}
		h := httpConfig{admission: admission.Config{Rate: cfg.SignupRate.allowance}}
		if err := problemsError(cfg.applySignupPolicy(&h, unconfigured{})); err != nil {
			t.Fatal(err)
		}
		if h.admission.Budget != want {
			t.Errorf("%q: %+v, want %+v", settings, h.admission.Budget, want)
		}
	}
}

func TestAWrongSignupPolicyIsRefused(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"HOMEROOM_SIGNUP_ALLOWED_DOMAINS=lincoln":                      "lincoln.example",
		"HOMEROOM_SIGNUP_DENIED_DOMAINS=*.lincoln.example":             "is not the name of a domain",
		"HOMEROOM_SIGNUP_DISPOSABLE=maybe":                             "allow or deny",
		"HOMEROOM_SIGNUP_DISPOSABLE=deny LIST=/not/there":              "HOMEROOM_SIGNUP_DISPOSABLE_LIST",
		"HOMEROOM_SIGNUP_SUBADDRESS=no":                                "allow or deny",
		"HOMEROOM_SIGNUP_FIELDS=shoeSize:required":                     "givenName, familyName, company",
		"HOMEROOM_SIGNUP_OAUTH=google":                                 "google=google-oauth2",
		"HOMEROOM_SIGNUP_OAUTH_RATE=often":                             "5/1h",
		"HOMEROOM_SIGNUP_SESSION=true":                                 "cannot log people in",
		"HOMEROOM_CAPTCHA=recaptcha HOMEROOM_CAPTCHA_SECRET=hush-hush": "turnstile or hcaptcha",
		"HOMEROOM_CAPTCHA=turnstile":                                   "secret",
		"HOMEROOM_SIGNUP_BUDGET_DAY=many":                              "HOMEROOM_SIGNUP_BUDGET_DAY",
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			environ := strings.Fields(strings.Replace(setting, " LIST=", " HOMEROOM_SIGNUP_DISPOSABLE_LIST=", 1))
			_, _, err := policyOf(t, unconfigured{}, environ...)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush-hush") {
				t.Errorf("the error is %v, want %q", err, want)
			}
		})
	}
}
