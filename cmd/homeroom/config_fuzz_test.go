package main

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

// FuzzPostgresURL: the error about a URL does not contain its password, and an accepted URL has no @ in its host or
// database, which could be a part of the password.
func FuzzPostgresURL(f *testing.F) {
	for _, value := range postgresURLs {
		f.Add(value[0])
	}
	f.Add("postgres://u:p%40ss@127.0.0.1:5432/d?sslmode=disable")
	f.Fuzz(func(t *testing.T, value string) {
		if err := isPostgresURL(value); err != nil {
			if _, rest, ok := strings.Cut(value, "hush"); ok && len(rest) > 3 && strings.Contains(err.Error(), "hush") {
				t.Errorf("%q is quoted: %v", value, err)
			}
			return
		}
		u, err := url.Parse(value)
		if err != nil || u.Hostname() == "" || strings.Contains(u.Host, "@") || strings.Contains(u.EscapedPath(), "@") {
			t.Errorf("%q is taken: %v", value, err)
		}
	})
}

// FuzzTenantKey: an accepted key has 32 bytes or more, and is the base64 value.
func FuzzTenantKey(f *testing.F) {
	for _, value := range tenantKeys {
		f.Add(value[0])
	}
	f.Add(base64.StdEncoding.EncodeToString(testKey))
	f.Fuzz(func(t *testing.T, value string) {
		var key tenantKey
		if err := key.UnmarshalText([]byte(value)); err == nil && (len(key) < 32 || isWeak(key)) {
			t.Errorf("%q is taken as %x", value, []byte(key))
		}
	})
}
