package main

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"homeroom/internal/secret"
	"homeroom/internal/web"
	"homeroom/migrations"
)

// config holds the settings, read from environment variables. `homeroom help config` prints the tags help.
type config struct {
	Addr             string         `env:"HOMEROOM_ADDR" is:"address" envDefault:"127.0.0.1:8080" help:"the address that it listens at"`
	MetricsAddr      string         `env:"HOMEROOM_METRICS_ADDR" is:"address" help:"the address that answers GET /metrics for Prometheus, such as 127.0.0.1:9090; none when empty. It asks for no password"`
	MaxConnections   int            `env:"HOMEROOM_MAX_CONNECTIONS" envDefault:"4000" help:"HTTP connections that a process accepts at the same time; further ones wait. No limit when 0"`
	ShutdownDelay    time.Duration  `env:"HOMEROOM_SHUTDOWN_DELAY" envDefault:"5s" is:"delay" help:"how long a process that is stopping still accepts requests, while GET /readyz answers 503, so that load balancers notice"`
	CatalogURL       secret.String  `env:"HOMEROOM_CATALOG_URL" is:"postgres" help:"Postgres URL of the catalog; a missing database is created if the role may"`
	TenantKey        tenantKey      `env:"HOMEROOM_TENANT_KEY" help:"32 bytes or more in base64, from which the tenants' passwords are derived: openssl rand -base64 32"`
	TenantMigrations string         `env:"HOMEROOM_TENANT_MIGRATIONS" is:"folder" help:"folder with the tenants' migrations, instead of the embedded school-lunch schema"`
	Spares           int            `env:"HOMEROOM_SPARES" envDefault:"8" help:"number of spare tenants to keep on each server; 0 for none"`
	SignupRate       rate           `env:"HOMEROOM_SIGNUP_RATE" envDefault:"5/1h" help:"sign-ups per client address, such as 5/1h; off"`
	TrustedProxies   []netip.Prefix `env:"HOMEROOM_TRUSTED_PROXIES" help:"CIDRs, separated by commas, of the proxies whose X-Forwarded-For header is used"`
	AllowedOrigins   []string       `env:"HOMEROOM_ALLOWED_ORIGINS" is:"origin" help:"origins of your web application, separated by commas, from which browsers may call the API"`
	AllowSuperuser   bool           `env:"HOMEROOM_ALLOW_SUPERUSER" envDefault:"false" help:"allows a superuser in the servers' URLs, or on Postgres 15 and older a role with CREATEROLE, which can make itself one"`
	MinFreeDisk      size           `env:"HOMEROOM_MIN_FREE_DISK" envDefault:"1GiB" help:"free disk that a server needs for a new database, where the server can report it; off"`
	MaxTransaction   limit          `env:"HOMEROOM_TENANT_MAX_TRANSACTION" envDefault:"30m" help:"time that a transaction of a tenant may take before its session is ended; off"`

	WebhookAllow []netip.Prefix `env:"HOMEROOM_WEBHOOK_ALLOW" help:"CIDRs, separated by commas, of private networks that webhooks may be sent to, with http:// and other ports than 443 as well; none when empty"`

	Auth0Domain             string        `env:"AUTH0_DOMAIN" is:"domain" help:"the Auth0 tenant, such as lincoln.eu.auth0.com"`
	Auth0BaseURL            string        `env:"AUTH0_BASE_URL" is:"url" help:"its URL, for a simulator; https://$AUTH0_DOMAIN when empty. The issuer of tokens is this with a closing slash"`
	Auth0ClientID           string        `env:"AUTH0_CLIENT_ID" help:"the machine-to-machine application"`
	Auth0ClientSecret       secret.String `env:"AUTH0_CLIENT_SECRET" help:"its secret"`
	Auth0Connection         string        `env:"AUTH0_CONNECTION" envDefault:"Username-Password-Authentication" help:"the database connection in which users are created"`
	Auth0Audience           string        `env:"AUTH0_AUDIENCE" help:"the identifier of Homeroom's own API at Auth0, for operators' and users' tokens"`
	Auth0ManagementAudience string        `env:"AUTH0_MANAGEMENT_AUDIENCE" is:"url" help:"with a custom domain: https://<the tenant's own domain>/api/v2/; $AUTH0_BASE_URL/api/v2/ when empty"`
	Auth0CustomDomain       string        `env:"AUTH0_CUSTOM_DOMAIN" is:"domain" help:"the custom domain in mails to new users, for a tenant with several of them"`

	IdentityConfig
	PeopleConfig
	SignupPolicyConfig
	HostedConfig
	KeepConfig

	environment
	// servers are the values of HOMEROOM_SERVER_<NAME>_URL by name.
	servers map[string]secret.String
	// migrations are the files of TenantMigrations.
	migrations *migrations.Set
	// ofDev reports whether the catalog is the development server's.
	ofDev bool
	// readOnly leaves the catalog as it is, for commands that only read.
	readOnly bool
	// warm is the number of connections to the catalog that are open from the start.
	warm int32
	// mailbox holds the mails that the development server has received. It is nil everywhere else.
	mailbox web.Mailbox
}

// serverHelp documents the variables whose names the user chooses.
const serverHelp = "direct (not pooled) URL of a tenant server, for a role with CREATEDB and CREATEROLE; the catalog's server, as MAIN, when there is none"

// readConfig reads and checks the environment. Its error lists every variable that is missing or wrong.
func readConfig(environ []string) (config, error) {
	cfg, wrong := parseConfig(environ)
	return cfg, problemsError(wrong)
}

// readServiceConfig is readConfig for a program that runs the service, which needs more settings than the commands
// that only work on databases.
func readServiceConfig(environ []string) (config, error) {
	cfg, wrong := parseConfig(environ)
	return cfg, problemsError(append(wrong, cfg.serviceProblems(wrong)...))
}

// parseConfig reads the environment and returns everything that is wrong with it.
func parseConfig(environ []string) (config, []problem) {
	from, wrong := readEnvironment(environ)
	wrong = append(wrong, from.check()...)
	for _, p := range wrong {
		delete(from.values, p.Variable) // the other checks go on without it
		from.sources[p.Variable] = sourceWrong
	}
	cfg, err := env.ParseAsWithOptions[config](env.Options{Environment: from.values})
	wrong = append(wrong, parseProblems(err, from.values)...)
	cfg.environment = from
	cfg.servers = servers(from.values)
	if len(cfg.servers) == 0 {
		cfg.servers["main"] = cfg.CatalogURL
	}
	if cfg.Auth0BaseURL == "" && cfg.Auth0Domain != "" {
		cfg.Auth0BaseURL = "https://" + cfg.Auth0Domain
	}
	cfg.Auth0BaseURL = strings.TrimRight(cfg.Auth0BaseURL, "/")
	wrong = append(wrong, without(cfg.problems(), wrong)...)
	cfg.migrations = migrations.Tenant()
	if cfg.TenantMigrations != "" {
		if cfg.migrations, err = migrations.Load(os.DirFS(cfg.TenantMigrations)); err != nil {
			wrong = append(wrong, problem{"HOMEROOM_TENANT_MIGRATIONS", fmt.Sprintf("is %s: %v", quoted(cfg.TenantMigrations), err)})
		}
	}
	return cfg, wrong
}

// problems returns what is wrong although each variable by itself is well formed.
func (c config) problems() []problem {
	var wrong []problem
	if c.CatalogURL == "" {
		wrong = append(wrong, problem{"HOMEROOM_CATALOG_URL", "is not set: use the Postgres URL of the catalog, or `homeroom dev`, which needs no settings"})
	}
	if len(c.TenantKey) == 0 {
		wrong = append(wrong, problem{"HOMEROOM_TENANT_KEY", "is not set: make one with `openssl rand -base64 32`, and keep it"})
	}
	return append(wrong, c.PeopleConfig.problems()...)
}

// check checks each variable by itself.
func (e environment) check() (wrong []problem) {
	for _, name := range slices.Sorted(maps.Keys(e.values)) {
		if strings.HasPrefix(name, "HOMEROOM_SERVER_") && (strings.HasSuffix(name, "_URL") || strings.HasSuffix(name, "_URL_FILE")) &&
			!serverName.MatchString(strings.TrimSuffix(name, "_FILE")) {
			wrong = append(wrong, problem{name, "is not the URL of a server: its name must be capital letters, digits and _, as in HOMEROOM_SERVER_MAIN_URL"})
		}
		if serverName.MatchString(name) {
			wrong = append(wrong, checkForm(variable{Name: name, Secret: true, is: "postgres"}, e.values[name])...)
		}
	}
	for _, v := range variables() {
		if value := e.values[v.Name]; value != "" {
			wrong = append(wrong, checkForm(v, value)...)
		}
	}
	return wrong
}

// checkForm checks whether a value has the form that its variable needs.
func checkForm(v variable, value string) []problem {
	if v.choices != "" && !slices.Contains(strings.Split(v.choices, ","), value) {
		return []problem{{v.Name, fmt.Sprintf("is %s: use %s", quoted(value), listed(strings.Split(v.choices, ",")))}}
	}
	form := forms[v.is]
	if form == nil {
		form = typeForms[v.typ]
	}
	if form == nil {
		return nil
	}
	if err := form(value); err != nil {
		return []problem{{v.Name, v.said(value) + err.Error()}}
	}
	return nil
}

// said quotes the value of a variable, unless it holds a secret or a URL with a password.
func (v variable) said(value string) string {
	if v.Secret || strings.Contains(value, "@") {
		return ""
	}
	return "is " + quoted(value) + ": "
}

// parseProblems returns the values that could not be parsed, by the names of their variables.
func parseProblems(err error, values map[string]string) (wrong []problem) {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return nil
	}
	for _, err := range all.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			panic(err) // the struct of the settings is wrong
		}
		for _, v := range variables() {
			if v.field == parse.Name {
				wrong = append(wrong, problem{v.Name, v.said(values[v.Name]) + parse.Err.Error()})
			}
		}
	}
	return wrong
}

// without leaves out the problems of variables that have a known problem already.
func without(problems, known []problem) []problem {
	return slices.DeleteFunc(problems, func(p problem) bool {
		return slices.ContainsFunc(known, func(k problem) bool { return strings.TrimSuffix(k.Variable, "_FILE") == p.Variable })
	})
}

func isSecret(name string) bool {
	return slices.ContainsFunc(variables(), func(v variable) bool { return v.Name == name && v.Secret })
}

var serverName = regexp.MustCompile(`^HOMEROOM_SERVER_([A-Z][A-Z0-9_]{0,30})_URL$`)

func servers(vars map[string]string) map[string]secret.String {
	found := map[string]secret.String{}
	for name, url := range vars {
		if match := serverName.FindStringSubmatch(name); match != nil {
			found[strings.ToLower(match[1])] = secret.String(url)
		}
	}
	return found
}

// serverVariable returns the name of the variable with the URL of a server.
func (c config) serverVariable(name string) string {
	if variable := serverVariable(name); c.values[variable] != "" {
		return variable
	}
	return "HOMEROOM_CATALOG_URL"
}
