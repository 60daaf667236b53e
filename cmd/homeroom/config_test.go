package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// badValues are invalid values of each variable, with words that the error must contain.
var badValues = map[string][][2]string{
	"HOMEROOM_ADDR":                    {{"8080", "127.0.0.1:8080"}, {"127.0.0.1:http", "127.0.0.1:8080"}, {":99999", "127.0.0.1:8080"}},
	"HOMEROOM_MAX_CONNECTIONS":         {{"-5", "a whole number from 0"}},
	"HOMEROOM_SHUTDOWN_DELAY":          {{"5", "10s"}, {"-1s", "10s"}, {"1h", "10s"}},
	"HOMEROOM_METRICS_ADDR":            {{"9090", "an address and a port"}},
	"HOMEROOM_CATALOG_URL":             postgresURLs,
	"HOMEROOM_SERVER_MAIN_URL":         postgresURLs,
	"HOMEROOM_SERVER_main_URL":         {{"postgres://u:p@h/d", "capital letters"}},
	"HOMEROOM_TENANT_KEY":              tenantKeys,
	"HOMEROOM_TENANT_MIGRATIONS":       {{"/not/there", "name a folder"}},
	"HOMEROOM_SPARES":                  {{"-1", "a whole number from 0"}, {"many", "a whole number from 0"}, {"1.5", "a whole number from 0"}},
	"HOMEROOM_SIGNUP_RATE":             {{"often", "5/1h"}, {"0/1h", "5/1h"}, {"5/1", "5/1h"}, {"5/1ms", "5/1h"}},
	"HOMEROOM_TRUSTED_PROXIES":         {{"10.0.0.1", "10.0.0.0/8"}, {"10.0.0.0/8, 10.1.0.0/16", "without spaces"}},
	"HOMEROOM_ALLOWED_ORIGINS":         {{"app.lincoln.example", "https://app.lincoln.example"}, {"https://a.example/", "without a slash"}, {"*", "use origins"}},
	"HOMEROOM_ALLOW_SUPERUSER":         {{"yes", "true or false"}},
	"HOMEROOM_MIN_FREE_DISK":           {{"lots", "2GiB"}, {"-1GiB", "2GiB"}},
	"HOMEROOM_TENANT_MAX_TRANSACTION":  {{"30", "such as 30m, or off"}, {"-1h", "such as 30m, or off"}},
	"HOMEROOM_KEEP_SIGNUPS":            {{"0", "such as 30d or 2y, or forever"}, {"30", "such as 30d"}, {"off", "or forever"}},
	"HOMEROOM_KEEP_EVENTS":             {{"-1d", "such as 30d"}},
	"HOMEROOM_KEEP_RUNS":               {{"8760h", "such as 30d"}},
	"HOMEROOM_KEEP_AUDIT":              {{"2 years", "such as 30d"}},
	"HOMEROOM_WEBHOOK_ALLOW":           {{"localhost", "10.0.0.0/8"}},
	"AUTH0_DOMAIN":                     {{"https://lincoln.eu.auth0.com", "without https://"}, {"lincoln.eu.auth0.com/", "without a slash"}},
	"AUTH0_BASE_URL":                   {{"lincoln.eu.auth0.com", "use an address"}, {"https://u:hush-hush@lincoln.eu.auth0.com", "contains a user or a password"}},
	"AUTH0_MANAGEMENT_AUDIENCE":        {{"lincoln", "use an address"}},
	"AUTH0_CUSTOM_DOMAIN":              {{"https://id.lincoln.example", "without https://"}},
	"HOMEROOM_IDENTITY_PROVIDER":       {{"okta", "auth0, scim or beyondidentity"}},
	"HOMEROOM_TOKEN_ISSUER":            {{"lincoln", "use an address"}},
	"HOMEROOM_TOKEN_KEYS_URL":          {{"lincoln", "use an address"}},
	"AUTH0_LOGIN":                      {{"magic", "password, email or ticket"}},
	"AUTH0_ORGANIZATIONS":              {{"yes", "true or false"}},
	"SCIM_BASE_URL":                    {{"api.asgardeo.io", "use an address"}},
	"SCIM_TOKEN_URL":                   {{"api.asgardeo.io", "use an address"}},
	"SCIM_USERS_PATH":                  {{"Users", "begins with a slash"}},
	"SCIM_ROLES_PATH":                  {{"/Roles?x=1", "without a query"}},
	"BEYOND_IDENTITY_BASE_URL":         {{"api.byndid.com", "use an address"}},
	"BEYOND_IDENTITY_VERSION":          {{"v3", "v1 or v2"}},
	"HOMEROOM_URL":                     {{"homeroom.lincoln.example", "https://homeroom.lincoln.example"}, {"ftp://x.example", "use an address"}},
	"HOMEROOM_APP_URL":                 {{"nowhere", "use an address"}},
	"HOMEROOM_SIGNUP_MODE":             {{"opne", "open, invite, approve or closed"}},
	"HOMEROOM_PROVISION_AFTER":         {{"later", "created or verified"}},
	"HOMEROOM_SIGNUP_CONCEAL_EXISTING": {{"maybe", "true or false"}, {"true", "HOMEROOM_PROVISION_AFTER=verified"}},
	"HOMEROOM_SIGNUP_PATIENCE":         {{"2 days", "48h"}, {"1s", "one minute or more"}, {"48", "48h"}},
	"HOMEROOM_SMTP_URL": {
		{"mail.lincoln.example", "smtp://user:password@"},
		{"smtp://u:hush-hush@x@h", "%40"},
		{"smtp://u:hush/x@h", "%2F"},
		{"smtp://u:hush#x@h", "%23"},
		{"smtps://h?starttls=off", "starttls"},
	},
	"HOMEROOM_MAIL_FROM":              {{"Lincoln", "no-reply@lincoln.example"}},
	"HOMEROOM_MAIL_REPLY_TO":          {{"Lincoln", "no-reply@lincoln.example"}},
	"HOMEROOM_MAIL_TEMPLATES":         {{"/not/there", "name a folder"}},
	"HOMEROOM_MESSAGES":               {{"/not/there", "name a folder"}},
	"HOMEROOM_LANGUAGE":               {{"klingonisch!", "language"}},
	"HOMEROOM_SIGNUP_ALLOWED_DOMAINS": {{"lincoln", "lincoln.example"}},
	"HOMEROOM_SIGNUP_DENIED_DOMAINS":  {{"*.lincoln.example", "lincoln.example"}},
	"HOMEROOM_SIGNUP_DISPOSABLE":      {{"maybe", "allow or deny"}},
	"HOMEROOM_SIGNUP_DISPOSABLE_LIST": {{"/not/there", "name a file"}},
	"HOMEROOM_SIGNUP_SUBADDRESS":      {{"no", "allow or deny"}},
	"HOMEROOM_SIGNUP_FIELDS":          {{"shoeSize:required", "givenName, familyName, company"}},
	"HOMEROOM_SIGNUP_BUDGET_MINUTE":   {{"-1", "such as 60"}},
	"HOMEROOM_SIGNUP_BUDGET_DAY":      {{"many", "such as 60"}},
	"HOMEROOM_SIGNUP_SESSION":         {{"yes", "true or false"}},
	"HOMEROOM_SIGNUP_OAUTH":           {{"google", "google=google-oauth2"}, {"myspace=x", "google, github, gitlab, azure-ad or slack"}},
	"HOMEROOM_SIGNUP_OAUTH_RATE":      {{"often", "5/1h"}},
	"HOMEROOM_CAPTCHA":                {{"recaptcha", "turnstile or hcaptcha"}},
	"HOMEROOM_CAPTCHA_VERIFY_URL":     {{"nowhere", "use an address"}},
	"HOMEROOM_HOSTED_ISSUER":          {{"nowhere", "use an address"}},
	"HOMEROOM_HOSTED_REDIRECT_URL":    {{"/callback", "use an address"}},
	"HOMEROOM_HOSTED_REGISTER_URL":    {{"/register", "use an address"}},
	"HOMEROOM_HOSTED_PARAMS":          {{"organization", "organization_id=42"}},
	"HOMEROOM_HOSTED_RATE":            {{"often", "5/1h"}},
}

// anyText are the variables that accept any text, as far as can be checked without a connection.
var anyText = []string{
	"AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET", "AUTH0_CONNECTION", "AUTH0_AUDIENCE", "AUTH0_OWNER_ROLE",
	"AUTH0_ADMIN_ROLE", "AUTH0_MEMBER_ROLE", "HOMEROOM_TOKEN_AUDIENCE", "SCIM_CLIENT_ID", "SCIM_CLIENT_SECRET", "SCIM_TOKEN", "SCIM_SCOPE",
	"SCIM_USERNAME_PREFIX", "SCIM_APPLICATION", "SCIM_ADMIN_ROLE", "SCIM_MEMBER_ROLE", "BEYOND_IDENTITY_API_TOKEN", "BEYOND_IDENTITY_CLIENT_ID",
	"BEYOND_IDENTITY_CLIENT_SECRET", "HOMEROOM_PRODUCT", "HOMEROOM_CAPTCHA_SECRET", "HOMEROOM_CAPTCHA_HOSTNAMES", "HOMEROOM_HOSTED_CLIENT_ID",
	"HOMEROOM_HOSTED_CLIENT_SECRET", "HOMEROOM_HOSTED_SCOPES", "HOMEROOM_HOSTED_RETURN_URLS",
}

var postgresURLs = [][2]string{
	{"nonsense", "postgres://user:password@host:5432/database"},
	{"host=127.0.0.1 user=u password=hush-hush dbname=d", "postgres://user:password@host:5432/database"},
	{"mysql://u:hush-hush@h/d", "postgres://user:password@host:5432/database"},
	{"postgres:///d?host=/var/run/postgresql", "a socket"},
	{"postgres://u:p@/d", "names no host"},
	{"postgres://u:hush-hush#x@h/d", "%23"},
	{"postgres://u:hush-hush%x@h/d", "%25"},
	{"postgres://u:hush-hush@x@h/d", "%40"},
	{"postgres://u:abc@hush/x@127.0.0.1:1/d", "%40"},
	{"postgres://u:hush-hush/x@h/d", "%2F"},
	{"postgres://u:hush-hush?x@h/d", "%3F"},
	{"postgres://u:p@h/d@hush-hush", "%40"},
	{"postgres://u:p@a:1,b:2/d", "several hosts"},
	{"postgres://u:hush-hush@h:port/d", "postgres://user:password@host:5432/database"},
	{"postgres://u:hush-hush@h/d?sslmode=maybe", "parameters"},
}

var tenantKeys = [][2]string{
	{"YQ==", "openssl rand -base64 32"},
	{"not base64!", "openssl rand -base64 32"},
	{base64.StdEncoding.EncodeToString(make([]byte, 32)), "can be guessed"},
	{strings.Repeat("A", 44), "can be guessed"},
	{base64.StdEncoding.EncodeToString([]byte(strings.Repeat("0123456789abcdef", 2))), "can be guessed"},
	{strings.Repeat("0123456789abcdef", 4), "can be guessed"},
	{base64.StdEncoding.EncodeToString([]byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")), "can be guessed"},
	{hex.EncodeToString(testKey), "hexadecimal"},
}

// secretParts are parts of the values above that no message may contain.
var secretParts = []string{"hush", hex.EncodeToString(testKey), "not base64!"}

func TestEveryVariableIsChecked(t *testing.T) {
	t.Parallel()
	for _, v := range variables() {
		if len(badValues[v.Name]) == 0 && !slices.Contains(anyText, v.Name) && !strings.Contains(v.Name, "<NAME>") {
			t.Errorf("there is no bad value of %s in this test", v.Name)
		}
	}
	for name, values := range badValues {
		for _, value := range values {
			t.Run(name+"="+value[0], func(t *testing.T) {
				t.Parallel()
				_, err := readServiceConfig(complete(name + "=" + value[0]))
				if err == nil || !strings.Contains(err.Error(), "one setting is wrong:\n  "+name+" ") || !strings.Contains(err.Error(), value[1]) {
					t.Fatalf("it says %v\nwant %s and %q", err, name, value[1])
				}
				for _, part := range secretParts {
					if strings.Contains(err.Error(), part) {
						t.Errorf("it prints a secret: %v", err)
					}
				}
			})
		}
	}
}

// complete is a configuration with which the service starts, with one change.
func complete(change string) []string {
	return valid("AUTH0_DOMAIN=lincoln.eu.auth0.com", "AUTH0_CLIENT_ID=c", "AUTH0_CLIENT_SECRET=s", "AUTH0_AUDIENCE=a",
		"HOMEROOM_MAIL_FROM=no-reply@lincoln.example", change)
}

func TestVariablesHaveOnePrefix(t *testing.T) {
	t.Parallel()
	for _, v := range variables() {
		if !slices.ContainsFunc([]string{"HOMEROOM_", "AUTH0_", "SCIM_", "BEYOND_IDENTITY_"}, func(prefix string) bool {
			return strings.HasPrefix(v.Name, prefix)
		}) {
			t.Errorf("%s begins with neither HOMEROOM_ nor the name of a provider", v.Name)
		}
	}
}

func TestAllWrongSettingsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	code, _, errs := command(t, []string{
		"HOMEROOM_CATALOG_URL=nonsense", "HOMEROOM_SPARES=-1", "SIGNUP_MODE=opne", "HOMEROOM_IDENTITY_PROVIDER=scim", "HOMEROOM_LANGUAGE=!",
	}, "serve")
	for _, want := range []string{
		"10 settings are wrong:", "HOMEROOM_CATALOG_URL is not of the form", "HOMEROOM_LANGUAGE", "HOMEROOM_SIGNUP_MODE is \"opne\"", `HOMEROOM_SPARES is "-1"`,
		"HOMEROOM_TENANT_KEY is not set", "HOMEROOM_TOKEN_AUDIENCE is not set", "HOMEROOM_TOKEN_ISSUER is not set", "SCIM_BASE_URL is not set", "SCIM_CLIENT_ID", "homeroom help config",
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("it does not say %q:\n%s", want, errs)
		}
	}
	if code != exitCannot || strings.Contains(errs, "main.") || strings.Contains(errs, "field") {
		t.Errorf("exit code %d:\n%s", code, errs)
	}
}

func TestServersAreCheckedByTheirNames(t *testing.T) {
	t.Parallel()
	code, _, errs := command(t, valid("HOMEROOM_SERVER_SECOND_URL=postgres://u:hush#x@h/d"), "tenant", "list")
	if code != exitCannot || !strings.Contains(errs, "HOMEROOM_SERVER_SECOND_URL holds a #") || strings.Contains(errs, "hush") {
		t.Errorf("exit code %d:\n%s", code, errs)
	}
}

func TestAHexadecimalKeyNeedsThePrefixBase64(t *testing.T) {
	t.Parallel()
	cfg, err := readConfig([]string{"HOMEROOM_CATALOG_URL=postgres://u:p@h/d", "HOMEROOM_TENANT_KEY=base64:" + hex.EncodeToString(testKey)})
	if err != nil || len(cfg.TenantKey) != 48 {
		t.Errorf("the key has %d bytes, %v", len(cfg.TenantKey), err)
	}
}

func TestSecretsInFiles(t *testing.T) {
	t.Parallel()
	url := "postgres://u:p@h/d"
	for name, c := range map[string]struct{ content, wrong string }{
		"with a line's end":         {url + "\r\n", ""},
		"with a byte order mark":    {"\ufeff" + url + "\n", ""},
		"in UTF-16":                 {"\xff\xfep\x00o\x00", "UTF-8"},
		"empty":                     {" \n", "is empty"},
		"with more than one line":   {url + "\n" + url, "several lines"},
		"that is not the right one": {"nonsense", "HOMEROOM_CATALOG_URL is not of the form"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := readConfig([]string{"HOMEROOM_CATALOG_URL_FILE=" + file, "HOMEROOM_TENANT_KEY=" + base64.StdEncoding.EncodeToString(testKey)})
			if c.wrong == "" {
				if err != nil || cfg.CatalogURL.Reveal() != url {
					t.Errorf("it reads %q, %v", cfg.CatalogURL.Reveal(), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.wrong) || !strings.Contains(err.Error(), "one setting") {
				t.Errorf("it says %v, want %q", err, c.wrong)
			}
		})
	}
	_, err := readConfig(valid("HOMEROOM_SMTP_URL_FILE=/not/there"))
	if err == nil || !strings.Contains(err.Error(), "HOMEROOM_SMTP_URL_FILE names a file that cannot be read") {
		t.Errorf("it says %v", err)
	}
}

func TestOldNamesOfVariablesWork(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("hush-hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := readConfig(valid("SIGNUP_MODE=closed", "HOSTED_CLIENT_SECRET_FILE="+file, "SIGNUP_PATIENCE=1h", "HOMEROOM_SIGNUP_PATIENCE=1h"))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.SignupMode != "closed" || cfg.HostedClientSecret.Reveal() != "hush-hush" {
		t.Errorf("it reads %q and %q", cfg.SignupMode, cfg.HostedClientSecret.Reveal())
	}
	if want := []string{"HOSTED_CLIENT_SECRET_FILE", "SIGNUP_MODE", "SIGNUP_PATIENCE"}; !slices.Equal(cfg.old, want) {
		t.Errorf("the old names are %q", cfg.old)
	}
	_, err = readConfig(valid("SIGNUP_MODE=closed", "HOMEROOM_SIGNUP_MODE=open"))
	if err == nil || !strings.Contains(err.Error(), "HOMEROOM_SIGNUP_MODE is also set by its old name SIGNUP_MODE") {
		t.Errorf("it says %v", err)
	}
	known := variables()
	for _, name := range oldNames {
		plain := strings.TrimSuffix(name, "_FILE")
		if !slices.ContainsFunc(known, func(v variable) bool { return v.Name == plain }) {
			t.Errorf("%s is the successor of an old name, and no variable", name)
		}
	}
}

func TestARemovedVariableIsReportedAndHasNoEffect(t *testing.T) {
	t.Parallel()
	environ := valid()
	for _, name := range removedNames {
		environ = append(environ, name+"=nonsense")
	}
	cfg, err := readConfig(environ)
	if err != nil || !slices.Equal(cfg.removed, removedNames) {
		t.Errorf("it reports %q, %v", cfg.removed, err)
	}
	var log, out bytes.Buffer
	cfg.warn(slog.New(slog.NewTextHandler(&log, nil)))
	run(t.Context(), []string{"config", "check"}, program{environ: environ, stdout: &out, stderr: io.Discard})
	for _, name := range removedNames {
		if strings.Count(log.String(), "variable="+name) != 1 || strings.Count(out.String(), name) != 1 {
			t.Errorf("%s is not reported once:\n%s%s", name, &log, &out)
		}
		if slices.ContainsFunc(variables(), func(v variable) bool { return v.Name == name }) {
			t.Errorf("%s has an effect", name)
		}
	}
}
