package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"homeroom/mail"
)

// forms are the checks that the tag "is" names. Their errors say what to use instead, and quote a value only where it
// cannot contain a secret.
var forms = map[string]func(value string) error{
	"address":     isListenAddress,
	"delay":       isDelay,
	"domain":      isDomain,
	"file":        isFile,
	"folder":      isFolder,
	"mail-server": func(value string) error { return orSecretURL(value, mail.CheckServer) },
	"mail":        mail.CheckAddress,
	"origin":      isOrigin,
	"path":        isPath,
	"postgres":    isPostgresURL,
	"url":         isWebURL,
}

// typeForms are the checks for values of a type without the tag "is".
var typeForms = map[reflect.Type]func(value string) error{
	reflect.TypeFor[int]():            isCount,
	reflect.TypeFor[bool]():           isBool,
	reflect.TypeFor[time.Duration]():  isDuration,
	reflect.TypeFor[[]netip.Prefix](): isPrefixes,
}

func isCount(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 0 {
		return errors.New("use a whole number from 0")
	}
	return nil
}

func isBool(value string) error {
	if _, err := strconv.ParseBool(value); err != nil {
		return errors.New("use true or false")
	}
	return nil
}

func isDuration(value string) error {
	if d, err := time.ParseDuration(value); err != nil || d < time.Minute {
		return errors.New("use a time of one minute or more, such as 90m or 48h")
	}
	return nil
}

func isDelay(value string) error {
	if d, err := time.ParseDuration(value); err != nil || d < 0 || d > 5*time.Minute {
		return errors.New("use a time of at most 5m, such as 0s or 10s")
	}
	return nil
}

func isPrefixes(value string) error {
	for part := range strings.SplitSeq(value, ",") {
		if _, err := netip.ParsePrefix(part); err != nil {
			return errors.New("use networks such as 10.0.0.0/8, separated by commas without spaces; a single address ends in /32, or in /128")
		}
	}
	return nil
}

func isListenAddress(value string) error {
	_, port, err := net.SplitHostPort(value)
	if n, wrong := strconv.Atoi(port); err != nil || wrong != nil || n < 0 || n > 65535 {
		return errors.New("use an address and a port, such as 127.0.0.1:8080")
	}
	return nil
}

var domainForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?$`)

func isDomain(value string) error {
	if !domainForm.MatchString(value) {
		return errors.New("use only a name, such as lincoln.eu.auth0.com, without https:// and without a slash")
	}
	return nil
}

func isFile(value string) error {
	if info, err := os.Stat(value); err != nil || info.IsDir() {
		return errors.New("name a file that this process can read")
	}
	return nil
}

func isFolder(value string) error {
	if _, err := os.ReadDir(value); err != nil {
		absolute, _ := filepath.Abs(value)
		return fmt.Errorf("name a folder that this process can read; it looked for %s", quoted(absolute))
	}
	return nil
}

func isPath(value string) error {
	if !strings.HasPrefix(value, "/") || strings.ContainsAny(value, "?#{} ") {
		return errors.New("use a path that begins with a slash, without a query")
	}
	return nil
}

func isWebURL(value string) error {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || strings.ContainsAny(value, " \\"):
		return errors.New("use an address such as https://homeroom.lincoln.example")
	case u.User != nil:
		return errors.New("contains a user or a password: leave out everything before the host")
	case strings.Contains(value, "#"):
		return errors.New("leave out the # and what follows it")
	}
	return nil
}

func isOrigin(value string) error {
	for part := range strings.SplitSeq(value, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || isWebURL(part) != nil || u.Path != "" || u.RawQuery != "" {
			return errors.New("use origins such as https://app.lincoln.example, separated by commas, without a slash at the end")
		}
	}
	return nil
}

// orSecretURL checks a URL that holds a password. It first checks that the password cannot be parsed as another part
// of the URL, since that part would be printed.
func orSecretURL(value string, check func(string) error) error {
	_, rest, ok := strings.Cut(value, "://")
	authority, after, _ := strings.Cut(rest, "/")
	switch {
	case !ok:
		return check(value)
	case strings.Contains(rest, "#"):
		return errors.New("holds a #, which ends a URL: write %23 for it")
	case strings.Count(rest, "@") > 1:
		return errors.New("holds more than one @: write %40 for each one but the one before the host")
	case strings.Contains(after, "@") && !strings.Contains(authority, "@"):
		return errors.New("holds a / in the user or the password: write %2F for it, or an @ elsewhere: write %40 for that")
	case strings.Contains(authority, "?") && strings.Index(authority, "?") < strings.LastIndex(authority, "@"):
		return errors.New("holds a ? before the host: write %3F for it")
	}
	if _, err := url.Parse(value); err != nil {
		var escape url.EscapeError
		if errors.As(err, &escape) {
			return errors.New("holds a % that does not begin an escape: write %25 for it")
		}
	}
	return check(value)
}

// isPostgresURL checks the URL of a server. The tenants' URLs are derived from it, so a list of keywords is not
// accepted.
func isPostgresURL(value string) error {
	return orSecretURL(value, func(value string) error {
		u, err := url.Parse(value)
		if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Opaque != "" {
			return errors.New("is not of the form postgres://user:password@host:5432/database")
		}
		if u.Hostname() == "" || u.Query().Has("host") {
			return errors.New("names no host, or a socket: use postgres://user:password@host:5432/database, with 127.0.0.1 for this machine")
		}
		if strings.Contains(u.Host, ",") {
			return errors.New("names several hosts: name the one that takes writes, or an address that always reaches it")
		}
		if _, err := pgxpool.ParseConfig(value); err != nil {
			return errors.New("is not a URL that Postgres clients understand: check its port, and its parameters after the ?")
		}
		return nil
	})
}
