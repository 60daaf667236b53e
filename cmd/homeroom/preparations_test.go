package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"homeroom/auth0/auth0test"
	"homeroom/internal/devpg"
	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

// TestKilledAtEveryStepOfPreparing kills a process at every step on the way to the first tenant of a server; each
// process continues where the one before has died. The role is an ordinary one, which needs more steps than a
// superuser.
func TestKilledAtEveryStepOfPreparing(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newOrdinaryWorld(t, postgres, "catalog", 1)
	for _, point := range preparations {
		w.start(t, "HOMEROOM_KILL_AT="+point).waitDead(t)
	}
	w.start(t)
	w.waitIdle(t)
	w.audit(t)
	auditServer(t, postgres.URL("postgres"), w.known(t))
}

// newOrdinaryWorld makes a world whose role is no superuser, as in production.
func newOrdinaryWorld(t *testing.T, postgres *devpg.Server, catalog string, spares int) *world {
	t.Helper()
	_, err := pgtest.Connect(t, postgres.URL("postgres")).Exec(t.Context(), `
		create role homeroom login createdb createrole password 'secret';
		grant pg_signal_backend to homeroom;
		alter database postgres owner to homeroom;
		alter database template1 owner to homeroom`)
	if err != nil {
		t.Fatal(err)
	}
	as := func(database string) string {
		u, err := url.Parse(postgres.URL(database))
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("homeroom", "secret")
		return u.String()
	}
	w := newWorld(t, as(catalog), as("postgres"), spares)
	return w
}

// repairPoints are the kill points of the doctor's repairs.
var repairPoints = []string{
	"doctor.chosen:2", "doctor.repaired", "doctor.recorded:2", "doctor.rebuilding", "tenant.set_aside_dropped", "tenant.role_dropped",
	"template.unmarked",
}

// TestKilledAtEveryStepOfRepair kills the doctor in the middle of its repairs. The next one repairs the rest.
func TestKilledAtEveryStepOfRepair(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 2)
	p := w.start(t)
	newSchool(1).mustSucceed(t, p.url)
	p.stopWhen(t, w)
	for _, point := range repairPoints {
		t.Run(point, func(t *testing.T) {
			w.superuser(t,
				"alter database "+w.databases(t, "state = 'ready'")[0]+" allow_connections false",
				"update pg_database set datconnlimit = -2 where datname = '"+w.databases(t, "state = 'spare'")[0]+"'",
				"create role "+tenant.NewID().Database(),
				"create database homeroom_template_1_0123456789ab owner homeroom_owner template template0",
				"alter database homeroom_template_1_0123456789ab is_template true")
			victim := w.run(t, []string{"doctor", "--fix", "--yes"}, "HOMEROOM_KILL_AT="+point)
			victim.waitDead(t)
			if code, out, errs := w.homeroom(t, "doctor", "--fix", "--yes"); code != exitOK {
				t.Errorf("exit code %d: %s%s", code, out, errs)
			}
			w.start(t).stopWhen(t, w) // the refiller builds the spare again
			w.audit(t)
			auditServer(t, postgres.URL("postgres"), w.known(t))
		})
	}
}

// TestEveryKillPointIsTested compares the kill points in the source with those of the tests.
func TestEveryKillPointIsTested(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{}
	for _, c := range crashes {
		tested[c.point] = true
	}
	for _, c := range peopleCrashes {
		name, _, _ := strings.Cut(c.point, ":")
		tested[name] = true
	}
	for _, point := range slices.Concat(preparations, migrationPoints(), repairPoints, deliveryPoints) {
		name, _, _ := strings.Cut(point, ":")
		tested[name] = true
	}
	found := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		return pointsOf(path, found)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range slices.Sorted(maps.Keys(found)) {
		if !tested[point] {
			t.Errorf("no crash test dies at %s", point)
		}
	}
	for _, point := range slices.Sorted(maps.Keys(tested)) {
		if !found[point] {
			t.Errorf("the crash tests name %s, which is not in the source", point)
		}
	}
}

// pointsOf collects the kill points of a file. Each name must be a literal.
func pointsOf(path string, found map[string]bool) error {
	content, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(content), "killpoint.Here(") {
		return err
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, content, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Here" && fmt.Sprint(f.X) == "killpoint" {
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				err = errors.Join(err, fmt.Errorf("%s: the name of a kill point is not written out", path))
				return true
			}
			name, bad := strconv.Unquote(literal.Value)
			found[name], err = true, errors.Join(err, bad)
		}
		return true
	})
	return err
}

// operator sends a request as an operator.
func (w *world) operator(ctx context.Context, base, method, path, body string) (status int, text string, err error) {
	token := w.auth0.IssueToken(auth0test.TokenRequest{
		Permissions: []string{"read:tenants", "update:tenants", "migrate:tenants"}, Issuer: w.issuer,
	})
	return request(ctx, base, method, path, body, "Authorization", "Bearer "+token)
}
