package main

import (
	"net/url"
	"slices"
	"testing"
)

func TestPsqlGetsNoSecretButThePassword(t *testing.T) {
	t.Parallel()
	u, err := url.Parse("postgres://t_1:pass%2Fword@db.example:5433/t_1?sslmode=verify-full&sslrootcert=/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	got := psqlEnviron([]string{
		"HOMEROOM_TENANT_KEY=k", "HOMEROOM_CATALOG_URL=c", "AUTH0_CLIENT_SECRET=s", "PGPASSWORD=another", "PGSERVICE=x", "AWS_SECRET_ACCESS_KEY=a",
		"PATH=/bin", "TERM=xterm", "LC_ALL=C.UTF-8", "PSQL_PAGER=less",
	}, u)
	want := []string{
		"PATH=/bin", "TERM=xterm", "LC_ALL=C.UTF-8", "PSQL_PAGER=less", "PGHOST=db.example", "PGPORT=5433", "PGUSER=t_1",
		"PGPASSWORD=pass/word", "PGDATABASE=t_1", "PGSSLMODE=verify-full", "PGSSLROOTCERT=/ca.pem",
	}
	if !slices.Equal(got, want) {
		t.Errorf("psql gets %q\nwant %q", got, want)
	}
}
