package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// oldNames maps the names that variables had in earlier versions to the present ones. The old names go on working.
var oldNames = map[string]string{ //nolint:gosec // names of variables, no secrets
	"IDENTITY_PROVIDER":         "HOMEROOM_IDENTITY_PROVIDER",
	"PROVISION_AFTER":           "HOMEROOM_PROVISION_AFTER",
	"SIGNUP_MODE":               "HOMEROOM_SIGNUP_MODE",
	"SIGNUP_CONCEAL_EXISTING":   "HOMEROOM_SIGNUP_CONCEAL_EXISTING",
	"SIGNUP_PATIENCE":           "HOMEROOM_SIGNUP_PATIENCE",
	"SIGNUP_ALLOWED_DOMAINS":    "HOMEROOM_SIGNUP_ALLOWED_DOMAINS",
	"SIGNUP_DENIED_DOMAINS":     "HOMEROOM_SIGNUP_DENIED_DOMAINS",
	"SIGNUP_DISPOSABLE":         "HOMEROOM_SIGNUP_DISPOSABLE",
	"SIGNUP_DISPOSABLE_LIST":    "HOMEROOM_SIGNUP_DISPOSABLE_LIST",
	"SIGNUP_SUBADDRESS":         "HOMEROOM_SIGNUP_SUBADDRESS",
	"SIGNUP_FIELDS":             "HOMEROOM_SIGNUP_FIELDS",
	"SIGNUP_BUDGET_MINUTE":      "HOMEROOM_SIGNUP_BUDGET_MINUTE",
	"SIGNUP_BUDGET_DAY":         "HOMEROOM_SIGNUP_BUDGET_DAY",
	"SIGNUP_SESSION":            "HOMEROOM_SIGNUP_SESSION",
	"SIGNUP_OAUTH":              "HOMEROOM_SIGNUP_OAUTH",
	"SIGNUP_OAUTH_RATE":         "HOMEROOM_SIGNUP_OAUTH_RATE",
	"CAPTCHA":                   "HOMEROOM_CAPTCHA",
	"CAPTCHA_SECRET":            "HOMEROOM_CAPTCHA_SECRET",
	"CAPTCHA_SECRET_FILE":       "HOMEROOM_CAPTCHA_SECRET_FILE",
	"CAPTCHA_VERIFY_URL":        "HOMEROOM_CAPTCHA_VERIFY_URL",
	"CAPTCHA_HOSTNAMES":         "HOMEROOM_CAPTCHA_HOSTNAMES",
	"HOSTED_ISSUER":             "HOMEROOM_HOSTED_ISSUER",
	"HOSTED_CLIENT_ID":          "HOMEROOM_HOSTED_CLIENT_ID",
	"HOSTED_CLIENT_SECRET":      "HOMEROOM_HOSTED_CLIENT_SECRET",
	"HOSTED_CLIENT_SECRET_FILE": "HOMEROOM_HOSTED_CLIENT_SECRET_FILE",
	"HOSTED_REDIRECT_URL":       "HOMEROOM_HOSTED_REDIRECT_URL",
	"HOSTED_SCOPES":             "HOMEROOM_HOSTED_SCOPES",
	"HOSTED_PARAMS":             "HOMEROOM_HOSTED_PARAMS",
	"HOSTED_REGISTER_URL":       "HOMEROOM_HOSTED_REGISTER_URL",
	"HOSTED_RETURN_URLS":        "HOMEROOM_HOSTED_RETURN_URLS",
	"HOSTED_RATE":               "HOMEROOM_HOSTED_RATE",
}

// removedNames are variables of earlier versions that have no effect any more.
var removedNames = []string{"AUTH0_PASSWORDLESS_CONNECTION", "HOMEROOM_TENANT_MAX_LOCKS", "SCIM_APPLICATIONS_PATH"}

// present returns the present name of a variable.
func present(name string) string { return cmp.Or(oldNames[name], name) }

// environment holds the values of the variables, by their present names. An empty variable counts as not set.
type environment struct {
	values map[string]string
	// sources name where each value comes from: the environment, or a file. A value that was left out has
	// [sourceWrong].
	sources map[string]string
	// old are the old names in use, sorted.
	old []string
	// removed are the set variables that have no effect any more, in order.
	removed []string
}

// sourceWrong is the source of a value that cannot be used.
const sourceWrong = "wrong"

// readEnvironment reads the environment, and the files that it names for secrets. It returns what is wrong, and
// leaves those variables out.
func readEnvironment(environ []string) (environment, []problem) {
	e := environment{values: map[string]string{}, sources: map[string]string{}}
	var wrong []problem
	given := env.ToMap(environ)
	names := map[string]string{} // the names in use, by the present ones
	for _, written := range slices.Sorted(maps.Keys(given)) {
		name := present(written)
		if given[written] == "" {
			continue
		}
		if slices.Contains(removedNames, written) {
			e.removed = append(e.removed, written)
			continue
		}
		if first, twice := names[name]; twice && given[first] != given[written] {
			wrong = append(wrong, problem{name, fmt.Sprintf("is also set by its old name %s, to another value: remove that one", otherThan(name, first, written))})
		} else if !twice {
			names[name] = written
		}
		if name != written {
			e.old = append(e.old, written)
		}
	}
	for name, written := range names {
		e.values[name], e.sources[name] = given[written], "environment"
	}
	wrong = append(wrong, e.readFiles()...)
	return e, wrong
}

// otherThan returns the one of two names that differs from name.
func otherThan(name, one, other string) string {
	if one == name {
		return other
	}
	return one
}

// readFiles replaces every NAME_FILE of a secret by NAME with the content of the file.
func (e environment) readFiles() (wrong []problem) {
	for _, name := range slices.Sorted(maps.Keys(e.values)) {
		plain, isFile := strings.CutSuffix(name, "_FILE")
		if !isFile || (!isSecret(plain) && !serverName.MatchString(plain)) {
			continue
		}
		path := e.values[name]
		content, err := readSecret(path)
		switch {
		case e.values[plain] != "":
			wrong = append(wrong, problem{plain, fmt.Sprintf("is set, and %s too: remove one", name)})
		case err != nil:
			wrong = append(wrong, problem{name, err.Error()})
		default:
			e.values[plain], e.sources[plain] = content, "file "+path
		}
	}
	return wrong
}

// byteOrderMark is what some editors write at the beginning of a file.
const byteOrderMark = "\ufeff"

// readSecret reads a file with a secret. White space around the secret, and a byte order mark, are removed.
func readSecret(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("names a file that cannot be read: %w", err)
	}
	text := strings.TrimSpace(strings.TrimPrefix(string(content), byteOrderMark))
	switch {
	case strings.ContainsRune(text, 0) || strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff"):
		return "", fmt.Errorf("names %s, which is not text in UTF-8: save it as UTF-8", path)
	case text == "":
		return "", fmt.Errorf("names %s, which is empty: write the secret into it", path)
	case strings.ContainsAny(text, "\r\n"):
		return "", fmt.Errorf("names %s, which has several lines: leave only the secret in it", path)
	}
	return text, nil
}

// warn logs the variables that are set by an old name, or have no effect any more.
func (e environment) warn(logger *slog.Logger) {
	for _, name := range e.old {
		logger.Warn("a variable has a new name; the old one still works", "old", name, "new", present(name))
	}
	for _, name := range e.removed {
		logger.Warn("a variable has no effect any more: remove it", "variable", name)
	}
}
