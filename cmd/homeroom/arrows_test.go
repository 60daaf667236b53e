package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows are the imports that each package may have among the packages of this module, without its tests. They only
// go down:
//
//	cmd → internal/httpapi, internal/jobs, doctor → signup, fleet → catalog, tenant, identity → migrations
//
// and the three packages in the middle do not import each other, so that each can be read, tested and replaced alone.
// A new package needs a line here.
var arrows = map[string][]string{
	"internal/secret":    {},
	"internal/setting":   {},
	"internal/wait":      {},
	"internal/killpoint": {},
	"internal/postgres":  {"internal/wait"},
	"internal/display":   {},
	"internal/testrun":   {},
	"internal/jwks":      {},
	"internal/captcha":   {"internal/secret"},
	"migrations":         {"internal/killpoint", "internal/display", "internal/wait"},
	"identity":           {"messages", "internal/secret"},
	"catalog":            {"migrations", "internal/postgres", "internal/secret", "internal/wait"},
	"tenant":             {"migrations", "internal/postgres", "internal/secret", "internal/setting", "internal/killpoint"},
	"auth0":              {"identity", "messages", "internal/remote", "internal/secret", "internal/setting", "internal/wait"},
	"internal/remote":    {"identity", "internal/secret", "internal/wait"},
	"hosted":             {"identity", "internal/jwks", "internal/secret", "internal/setting"},
	"scim":               {"identity", "messages", "internal/remote", "internal/secret", "internal/setting"},
	"beyondidentity":     {"identity", "messages", "internal/remote", "internal/secret", "internal/setting"},
	"signup": {
		"catalog", "tenant", "identity", "messages", "migrations", "internal/postgres", "internal/secret", "internal/setting", "internal/killpoint", "internal/wait",
	},
	"admission": {"signup", "catalog", "identity", "messages", "internal/captcha"},
	"fleet":     {"catalog", "tenant", "migrations", "internal/postgres", "internal/killpoint", "internal/display", "internal/wait"},
	"lifecycle": {"catalog", "tenant", "internal/killpoint"},
	"doctor": {
		"signup", "catalog", "tenant", "identity", "migrations", "internal/postgres", "internal/setting", "internal/killpoint", "internal/wait",
	},
	"internal/metrics":   {"catalog"},
	"internal/retention": {"catalog", "internal/killpoint", "internal/wait"},
	"messages":           {},
	"mail":               {"catalog", "messages", "internal/secret"},
	"mail/mailtest":      {},
	"webhook":            {"catalog", "messages", "internal/secret", "internal/killpoint", "internal/wait"},
	"internal/jobs":      {"signup", "webhook", "catalog", "internal/killpoint", "internal/wait", "internal/postgres"},
	"internal/problem":   {"signup", "fleet", "catalog", "tenant", "identity", "lifecycle", "messages"},
	"ui":                 {},
	"internal/web":       {"ui", "internal/wait", "admission", "internal/problem", "signup", "hosted", "catalog", "identity", "messages", "internal/secret"},
	"internal/httpapi": {
		"internal/problem", "admission", "signup", "fleet", "catalog", "tenant", "identity", "migrations", "internal/postgres", "internal/secret",
		"webhook", "messages", "hosted", "lifecycle", "internal/display", "internal/jwks", "internal/wait",
	},
	"internal/npmtest":      {},
	"internal/modeltest":    {},
	"internal/logtest":      {},
	"internal/browsertest":  {},
	"internal/devpg":        {"internal/secret"},
	"internal/pgtest":       {"internal/devpg"},
	"auth0/auth0test":       {"internal/secret", "internal/flaky"},
	"internal/flaky":        {"internal/wait"},
	"scim/scimtest":         {"internal/flaky"},
	"beyondidentity/bitest": {"internal/flaky"},
	"identity/identitytest": {"identity", "internal/secret", "internal/flaky"},
	"cmd/homeroom": {
		"admission", "auth0", "auth0/auth0test", "beyondidentity", "scim", "catalog", "doctor", "fleet", "identity",
		"internal/devpg", "internal/captcha", "internal/display", "internal/httpapi", "internal/web", "internal/jobs", "internal/metrics", "internal/postgres", "internal/retention", "internal/secret", "internal/setting", "migrations", "signup", "tenant", "webhook", "mail", "mail/mailtest", "messages",
		"hosted", "lifecycle", "internal/wait",
	},
	"bench": {
		"admission", "auth0", "auth0/auth0test", "catalog", "fleet", "identity", "internal/devpg", "internal/httpapi", "internal/jobs",
		"internal/pgtest", "internal/secret", "migrations", "signup", "tenant", "webhook", "internal/wait",
	},
}

// libraryRules name the only packages that may use a library. Tests may use any, since some test from outside.
var libraryRules = []struct {
	library string
	only    []string
	reason  string
}{
	{"github.com/gin-gonic/gin", []string{"internal/httpapi", "internal/web"}, "other packages do not depend on the HTTP framework"},
	{"github.com/danielgtaylor/huma/v2", []string{"internal/httpapi"}, "other packages do not depend on the HTTP framework"},
	{"github.com/go-resty/resty/v2", []string{"internal/remote"}, "requests to identity providers are made in one way"},
	{"golang.org/x/oauth2", []string{"hosted"}, "a code is exchanged only where its checks are made"},
	{"github.com/golang-migrate/migrate/v4", []string{"migrations", "bench"}, "its driver protocol is wrapped there once, atomically"},
	{"github.com/prometheus", []string{"internal/metrics"}, "other packages do not depend on the format of metrics"},
	{"code.dny.dev/ssrf", []string{"webhook"}, "only webhooks call addresses that others have chosen"},
	{"github.com/standard-webhooks/standard-webhooks", []string{"webhook"}, "signatures are made in one place"},
	{"github.com/nicksnyder/go-i18n/v2", []string{"messages"}, "texts are looked up by id, in one place"},
	{"github.com/wneessen/go-mail", []string{"mail"}, "only this package knows whether a mail was sent before"},
	{"github.com/emersion/go-smtp", []string{"mail/mailtest"}, "only the server for tests and development receives mails"},
	{"github.com/riverqueue/river", []string{"internal/jobs"}, "the saga must work without jobs, which only start work earlier"},
}

// goPackage is what `go list` prints about a package.
type goPackage struct {
	ImportPath, Doc string
	Imports         []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-buildvcs=false", "-tags=dev", "-json=ImportPath,Doc,Imports", "homeroom/...")
	command.Dir = "../.."
	out, err := command.Output()
	if err != nil {
		var failed *exec.ExitError
		errors.As(err, &failed)
		t.Fatalf("go list: %v\n%s", err, failed.Stderr)
	}
	var all []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportsGoDownOnly(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, "homeroom/")
		allowed, known := arrows[name]
		if !known {
			t.Errorf("package %s has no line in arrows: list what it may import", name)
			continue
		}
		for _, imported := range p.Imports {
			if ours, ok := strings.CutPrefix(imported, "homeroom/"); ok && !slices.Contains(allowed, ours) {
				t.Errorf("package %s imports %s, against the arrows", name, ours)
			}
		}
	}
}

func TestLibrariesAreOnlyUsedWhereAllowed(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, "homeroom/")
		for _, imported := range p.Imports {
			for _, fence := range libraryRules {
				inside := imported == fence.library || strings.HasPrefix(imported, fence.library+"/")
				if inside && !slices.Contains(fence.only, name) {
					t.Errorf("package %s imports %s, which is for %v: %s", name, imported, fence.only, fence.reason)
				}
			}
		}
	}
}

// A long chain means that a change at the bottom affects many packages above.
func TestImportChainsAreShort(t *testing.T) {
	t.Parallel()
	const longest = 7 // such as cmd/homeroom, internal/httpapi, admission, signup, catalog, internal/postgres, internal/wait
	var length func(name string) int
	length = func(name string) int {
		deepest := 0
		for _, next := range arrows[name] {
			deepest = max(deepest, length(next))
		}
		return deepest + 1
	}
	for name := range arrows {
		if n := length(name); n > longest {
			t.Errorf("from %s the imports go %d packages deep, more than %d", name, n, longest)
		}
	}
}
