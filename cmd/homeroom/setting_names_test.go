package main

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"homeroom/hosted"
)

// mayNameVariables are the folders whose sources may name environment variables, with the reason. They end in a slash.
var mayNameVariables = map[string]string{
	"cmd/":                "the program reads the environment",
	"bench/":              "it runs the program",
	"internal/pgtest/":    "support for tests, which is no part of the program",
	"internal/devpg/":     "Postgres for development and tests is found by variables of its own",
	"internal/killpoint/": "crash tests set its variables for the process that they kill",
}

// goSources are our sources without those of tests, by their paths from the module's root.
func goSources(t *testing.T, folder string) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..")
	sources := map[string]string{}
	err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		path, err = filepath.Rel(root, path)
		sources[filepath.ToSlash(path)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

func TestLibrariesNameNoVariables(t *testing.T) {
	t.Parallel()
	variable := regexp.MustCompile(`\b(HOMEROOM_|AUTH0_|SCIM_|BEYOND_IDENTITY_[A-Z])\w*`)
	named := map[string]bool{}
	for path, text := range goSources(t, ".") {
		for _, name := range variable.FindAllString(text, -1) {
			folder, _, _ := strings.Cut(path, "/")
			if folder == "internal" {
				folder = strings.Join(strings.Split(path, "/")[:2], "/")
			}
			if named[folder+"/"] = true; mayNameVariables[folder+"/"] == "" {
				t.Errorf("%s names the variable %s: let the program name the setting (internal/setting)", path, name)
			}
		}
	}
	for folder := range mayNameVariables {
		if !named[folder] {
			t.Errorf("%s names no variable: it needs no exception", folder)
		}
	}
}

// TestEverySettingThatALibraryNamesIsAVariable: a field without a variable would be named itself, which tells an operator little.
func TestEverySettingThatALibraryNamesIsAVariable(t *testing.T) {
	t.Parallel()
	field := regexp.MustCompile(`\$\{?((?:Servers\.<NAME>)|[A-Z]\w*)|Settings\.Of\("(\w+)"|identity\.Role\w+: +"(\w+Role)"`)
	for folder, library := range map[string]struct {
		prefix string
		least  int
	}{
		"auth0": {"Auth0", 12}, "scim": {"SCIM", 10}, "beyondidentity": {"BeyondIdentity", 5}, "hosted": {"Hosted", 6},
		"doctor": {"", 4}, "signup": {"", 1},
	} {
		fields := map[string]bool{}
		for path, text := range goSources(t, folder) {
			for _, found := range field.FindAllStringSubmatch(text, -1) {
				name := found[1] + found[2] + found[3]
				fields[name] = true
				if variable := settingNames(library.prefix)(name); strings.ToUpper(variable) != variable {
					t.Errorf("%s names the setting %s, for which there is no variable", path, name)
				}
			}
		}
		if len(fields) < library.least {
			t.Errorf("only %d settings of %s were found: %v", len(fields), folder, fields)
		}
	}
}

// TestRefusalsOfAnIdentityProviderNameTheVariable asks each provider at a server that refuses everything.
func TestRefusalsOfAnIdentityProviderNameTheVariable(t *testing.T) {
	t.Parallel()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(refusing.Close)
	for name, c := range map[string]struct {
		environ []string
		names   string
	}{
		"auth0": {[]string{"AUTH0_CLIENT_ID=id", "AUTH0_CLIENT_SECRET=s"}, "AUTH0_CLIENT_SECRET"},
		"scim":  {[]string{"SCIM_BASE_URL=" + refusing.URL, "SCIM_CLIENT_ID=id", "SCIM_CLIENT_SECRET=s"}, "SCIM_CLIENT_SECRET"},
		"beyondidentity": {
			[]string{"BEYOND_IDENTITY_BASE_URL=" + refusing.URL, "BEYOND_IDENTITY_CLIENT_ID=id", "BEYOND_IDENTITY_CLIENT_SECRET=s"},
			"BEYOND_IDENTITY_CLIENT_SECRET",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := readConfig(append(valid("HOMEROOM_IDENTITY_PROVIDER="+name, "AUTH0_BASE_URL="+refusing.URL), c.environ...))
			if err != nil {
				t.Fatal(err)
			}
			provider, err := cfg.newProvider(slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			err = provider.(interface{ Warm(context.Context) error }).Warm(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.names) {
				t.Errorf("it does not name %s: %v", c.names, err)
			}
		})
	}
}

func TestARefusedRegistrationNamesTheVariable(t *testing.T) {
	t.Parallel()
	refusing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(refusing.Close)
	cfg, err := readConfig(valid("AUTH0_BASE_URL="+refusing.URL, "AUTH0_CLIENT_ID=id", "AUTH0_CLIENT_SECRET=s", "HOMEROOM_HOSTED_CLIENT_ID=id"))
	if err != nil {
		t.Fatal(err)
	}
	provider, err := cfg.newProvider(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var services httpConfig
	if problems := cfg.hosted(&services, provider); len(problems) > 0 {
		t.Fatal(problems)
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/register", nil)
	if _, err = services.pages.Hosted.Start(request, hosted.Options{}); err == nil || !strings.Contains(err.Error(), "HOMEROOM_HOSTED_ISSUER") {
		t.Errorf("it does not name HOMEROOM_HOSTED_ISSUER: %v", err)
	}
}

func TestAdviceAboutATenantNamesTheVariable(t *testing.T) {
	t.Parallel()
	w, _ := closed(t)
	for _, c := range []struct {
		sql   string
		args  []string
		names string
	}{
		{"update tenants set lineage = 'other' where state = 'ready'", []string{"tenant", "reprovision", "lincoln-high"}, "HOMEROOM_TENANT_MIGRATIONS"},
		{"update tenants set server = 'old' where state = 'ready'", []string{"tenant", "show", "lincoln-high"}, "set HOMEROOM_SERVER_OLD_URL"},
		{"", []string{"doctor"}, "Set HOMEROOM_SERVER_<NAME>_URL in every process"},
	} {
		if _, err := w.pool.Exec(t.Context(), "insert into servers (name) values ('old') on conflict do nothing"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.pool.Exec(t.Context(), c.sql); err != nil {
			t.Fatal(err)
		}
		if _, out, errs := w.homeroom(t, c.args...); !strings.Contains(out+errs, c.names) {
			t.Errorf("homeroom %s does not say %q:\n%s%s", strings.Join(c.args, " "), c.names, out, errs)
		}
	}
}
