package main

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/docker/go-units"

	"homeroom/catalog"
	"homeroom/internal/httpapi"
	"homeroom/internal/secret"
	"homeroom/migrations"
)

// config is the environment. The tag help is printed by `homeroom help config`.
type config struct {
	Addr             string         `env:"HOMEROOM_ADDR" envDefault:"127.0.0.1:8080" help:"where it listens"`
	MetricsAddr      string         `env:"HOMEROOM_METRICS_ADDR" help:"where GET /metrics is answered for Prometheus, such as 127.0.0.1:9090; nowhere when empty. Whoever reaches it can read it"`
	CatalogURL       secret.String  `env:"HOMEROOM_CATALOG_URL" help:"Postgres URL of the catalog; its database is made when it is missing and the role may"`
	TenantKey        tenantKey      `env:"HOMEROOM_TENANT_KEY" help:"32 bytes or more in base64, from which the tenants' passwords are derived: openssl rand -base64 32"`
	TenantMigrations string         `env:"HOMEROOM_TENANT_MIGRATIONS" help:"folder with the tenants' migrations, instead of the embedded school-lunch schema"`
	Spares           int            `env:"HOMEROOM_SPARES" envDefault:"8" help:"spare tenants kept ready on each server; 0 keeps none"`
	SignupRate       rate           `env:"HOMEROOM_SIGNUP_RATE" envDefault:"5/1h" help:"sign-ups per client address, such as 5/1h; off"`
	TrustedProxies   []netip.Prefix `env:"HOMEROOM_TRUSTED_PROXIES" help:"CIDRs, separated by commas, whose X-Forwarded-For counts"`
	AllowedOrigins   []string       `env:"HOMEROOM_ALLOWED_ORIGINS" help:"origins of the SPA, separated by commas, that browsers may call from"`
	AllowSuperuser   bool           `env:"HOMEROOM_ALLOW_SUPERUSER" envDefault:"false" help:"lets the servers' URLs belong to a superuser, or on Postgres 15 and older to a role with CREATEROLE, which is as good as one"`
	MinFreeDisk      size           `env:"HOMEROOM_MIN_FREE_DISK" envDefault:"1GiB" help:"how much disk must be free on a server for another database to be made there, where that can be told; off"`

	WebhookAllow []netip.Prefix `env:"HOMEROOM_WEBHOOK_ALLOW" help:"CIDRs, separated by commas, that webhooks may be sent to though they are not on the internet, and by plain http:// too; none when empty"`

	Auth0Domain             string        `env:"AUTH0_DOMAIN" help:"the Auth0 tenant, such as lincoln.eu.auth0.com"`
	Auth0BaseURL            string        `env:"AUTH0_BASE_URL" help:"its URL, for a simulator; https://$AUTH0_DOMAIN when empty. The issuer of tokens is this with a closing slash"`
	Auth0ClientID           string        `env:"AUTH0_CLIENT_ID" help:"the machine-to-machine application"`
	Auth0ClientSecret       secret.String `env:"AUTH0_CLIENT_SECRET" help:"its secret"`
	Auth0Connection         string        `env:"AUTH0_CONNECTION" envDefault:"Username-Password-Authentication" help:"the database connection that users are made in"`
	Auth0Audience           string        `env:"AUTH0_AUDIENCE" help:"the identifier of Homeroom's own API at Auth0, for operators' and users' tokens"`
	Auth0ManagementAudience string        `env:"AUTH0_MANAGEMENT_AUDIENCE" help:"with a custom domain: https://<the tenant's own domain>/api/v2/; $AUTH0_BASE_URL/api/v2/ when empty"`
	Auth0CustomDomain       string        `env:"AUTH0_CUSTOM_DOMAIN" help:"of a tenant with several custom domains, the one that mails to new users speak of"`

	IdentityConfig
	PeopleConfig
	DoorConfig
	HostedConfig

	// servers are the HOMEROOM_SERVER_<NAME>_URL by name.
	servers map[string]secret.String
	// migrations is what TenantMigrations names.
	migrations *migrations.Set
	// ofDev tells that the catalog is the development server's.
	ofDev bool
	// mailbox holds the mails that the development server has kept; nil everywhere else.
	mailbox httpapi.Mailbox
}

// serverHelp documents the variables whose names the user chooses.
const serverHelp = "direct (not pooled) URL of a tenant server, for a role with CREATEDB and CREATEROLE; the catalog's server, as MAIN, when there is none"

// tenantKey is the server's key.
type tenantKey []byte

// String redacts it.
func (tenantKey) String() string { return secret.Redacted }

// UnmarshalText reads it from base64, with or without padding.
func (k *tenantKey) UnmarshalText(text []byte) error {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(string(text)), "="))
	if err != nil || len(raw) < 32 {
		return fmt.Errorf("it must be at least 32 bytes in base64: make one with `openssl rand -base64 32`")
	}
	*k = raw
	return nil
}

// rate is a number of times per period; nil is no limit.
type rate struct{ allowance *catalog.Allowance }

// UnmarshalText reads "5/1h" or "off".
func (r *rate) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		r.allowance = nil
		return nil
	}
	count, period, _ := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(count)
	window, wrong := time.ParseDuration(period)
	if err != nil || wrong != nil || n < 1 || window < time.Second {
		return fmt.Errorf(`it must be a number of times per period, such as 5/1h, or "off"`)
	}
	r.allowance = &catalog.Allowance{Count: n, Window: window}
	return nil
}

// size is a number of bytes.
type size int64

// UnmarshalText reads "500MiB", "2g" (both binary) or "off".
func (s *size) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*s = 0
		return nil
	}
	bytes, err := units.RAMInBytes(string(text))
	if err != nil || bytes < 0 {
		return fmt.Errorf(`it must be a size such as 500MiB or 2GiB, or "off"`)
	}
	*s = size(bytes)
	return nil
}

// readConfig reads and checks the environment. Its error names every variable that is missing or wrong.
func readConfig(environ []string) (config, error) {
	vars, err := withFiles(env.ToMap(environ))
	if err != nil {
		return config{}, err
	}
	cfg, err := env.ParseAsWithOptions[config](env.Options{Environment: vars})
	if err != nil {
		return config{}, fmt.Errorf("read the configuration: %w (homeroom help config tells of every variable)", err)
	}
	if missing := cfg.missing(); len(missing) > 0 {
		return config{}, fmt.Errorf("set %s (homeroom help config tells what they are; homeroom dev needs none)", strings.Join(missing, ", "))
	}
	cfg.servers = servers(vars)
	if len(cfg.servers) == 0 {
		cfg.servers["main"] = cfg.CatalogURL
	}
	if cfg.Auth0BaseURL == "" && cfg.Auth0Domain != "" {
		cfg.Auth0BaseURL = "https://" + cfg.Auth0Domain
	}
	cfg.Auth0BaseURL = strings.TrimRight(cfg.Auth0BaseURL, "/")
	if err := cfg.check(); err != nil {
		return config{}, err
	}
	cfg.migrations = migrations.Tenant()
	if cfg.TenantMigrations != "" {
		if cfg.migrations, err = migrations.Load(os.DirFS(cfg.TenantMigrations)); err != nil {
			return config{}, fmt.Errorf("HOMEROOM_TENANT_MIGRATIONS: %s: %w", cfg.TenantMigrations, err)
		}
	}
	return cfg, nil
}

// missing lists the required variables that are not set.
func (c config) missing() []string {
	var missing []string
	if c.CatalogURL == "" {
		missing = append(missing, "HOMEROOM_CATALOG_URL")
	}
	if len(c.TenantKey) == 0 {
		missing = append(missing, "HOMEROOM_TENANT_KEY")
	}
	return missing
}

// withFiles replaces every NAME_FILE of a known secret by NAME with the file's content.
func withFiles(vars map[string]string) (map[string]string, error) {
	for name, path := range vars {
		plain, isFile := strings.CutSuffix(name, "_FILE")
		if !isFile || (!isSecret(plain) && !serverName.MatchString(plain)) {
			continue
		}
		if vars[plain] != "" {
			return nil, fmt.Errorf("%s and %s are both set: remove one", plain, name)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		vars[plain] = strings.TrimSpace(string(content))
	}
	return vars, nil
}

func isSecret(name string) bool {
	return slices.ContainsFunc(variables(), func(v variable) bool { return v.Name == name && v.Secret })
}

var serverName = regexp.MustCompile(`^HOMEROOM_SERVER_([A-Z][A-Z0-9_]{0,30})_URL$`)

func servers(vars map[string]string) map[string]secret.String {
	found := map[string]secret.String{}
	for name, url := range vars {
		if match := serverName.FindStringSubmatch(name); match != nil && url != "" {
			found[strings.ToLower(match[1])] = secret.String(url)
		}
	}
	return found
}

// variable is a line of the documentation.
type variable struct {
	Name, Default, Help string
	Secret              bool
}

// variables documents the environment from the struct itself, so that the two cannot differ.
func variables() []variable { return variablesOf(reflect.TypeFor[config]()) }

func variablesOf(part reflect.Type) []variable {
	var all []variable
	for field := range part.Fields() {
		if field.Anonymous {
			all = append(all, variablesOf(field.Type)...)
			continue
		}
		name, ok := field.Tag.Lookup("env")
		if !ok {
			continue
		}
		all = append(all, variable{
			Name: name, Default: field.Tag.Get("envDefault"), Help: field.Tag.Get("help"),
			Secret: field.Type == reflect.TypeFor[secret.String]() || field.Type == reflect.TypeFor[tenantKey](),
		})
		if name == "HOMEROOM_CATALOG_URL" {
			all = append(all, variable{Name: "HOMEROOM_SERVER_<NAME>_URL", Help: serverHelp, Secret: true})
		}
	}
	return all
}
