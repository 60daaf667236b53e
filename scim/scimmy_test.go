package scim_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"homeroom/identity"
	"homeroom/identity/identitytest"
	"homeroom/internal/flaky"
	"homeroom/scim"
)

// TestProviderAtScimmy runs the conformance suite against a server whose SCIM was written by others: how it reads bodies,
// filters and paths, and words its answers. A proxy in between plays the faults.
//
// It has groups, and no roles: so a group stands for the role here. What remains is only seen at the simulator: Asgardeo's
// roles and applications, tokens that end, e-mails as bare texts, its error numbers. Scimmy has no times of creation.
func TestProviderAtScimmy(t *testing.T) {
	t.Parallel()
	address := startScimmy(t)
	identitytest.TestProvider(t, func(t *testing.T) identitytest.Fixture { return scimmyFixture(t, address) })
}

func scimmyFixture(t *testing.T, address *url.URL) identitytest.Fixture {
	t.Helper()
	const users, groups = "/scim/v2/Users", "/scim/v2/Groups"
	proxy := httputil.NewSingleHostReverseProxy(address)
	server, err := flaky.Listen("127.0.0.1:0", func(string) flaky.Service {
		return flaky.Service{
			Handler: proxy,
			Fail:    func(w http.ResponseWriter, status int) { http.Error(w, "Injected failure", status) },
			Throttle: func(w http.ResponseWriter, after time.Duration) {
				w.Header().Set("Retry-After", strconv.Itoa(int(after.Seconds())))
				w.WriteHeader(http.StatusTooManyRequests)
			},
			Refuse: func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) },
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	now := &clock{}
	cfg := scim.Config{
		BaseURL: server.Address(), Token: "scimmy-canary", UsersPath: users, RolesPath: groups, AdminRole: "Heads", Now: now.Now,
	}
	return identitytest.Fixture{
		Provider: newClient(t, cfg),
		Inject: func(kind identitytest.Fault) {
			server.Inject(flaky.Fault{Method: http.MethodPost, Path: users, Kind: faults[kind]})
		},
		Creates:      func() int { return server.CountCalls(http.MethodPost, users) },
		Password:     password,
		WeakPassword: "weakcanary",
		OwnIDs:       true,
		LooseIDs:     true,
		Enrol: &identitytest.EnrolFixture{
			Roles: []string{identity.RoleOwner},
			Inject: func(kind identitytest.Fault, skip int) {
				server.Inject(flaky.Fault{Method: http.MethodPatch, Path: groups, Kind: faults[kind], Skip: skip})
			},
			Recover: func() {
				server.ClearFaults()
				now.advance(time.Minute)
			},
			Writes:  func() int { return server.CountCalls(http.MethodPatch, groups) },
			Holders: func(string, string) []string { return heads(t, address) },
			Broken: func() identity.Provider {
				cfg := cfg
				cfg.AdminRole = "Nobody"
				return newClient(t, cfg)
			},
		},
	}
}

// heads are the members of the group, asked for without our client.
func heads(t *testing.T, address *url.URL) []string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address.String()+"/scim/v2/Groups/head", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer scimmy-canary")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var group struct{ Members []struct{ Value string } }
	if err := json.NewDecoder(resp.Body).Decode(&group); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("read the group: %d, %v", resp.StatusCode, err)
	}
	ids := []string{}
	for _, m := range group.Members {
		ids = append(ids, m.Value)
	}
	return ids
}

// startScimmy runs the server until the test ends.
func startScimmy(t *testing.T) *url.URL {
	t.Helper()
	command := exec.CommandContext(t.Context(), "node", "testdata/server.mjs", scimmy(t))
	var complaints strings.Builder
	command.Stderr = &complaints
	stdin, err := command.StdinPipe() // it ends with this, should this process be killed
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) || port == "" {
		_ = stdin.Close()
		_ = command.Wait()
		t.Fatalf("the SCIM server did not start: %v\n%s", err, complaints.String())
	}
	return &url.URL{Scheme: "http", Host: "127.0.0.1:" + strings.TrimSpace(port)}
}

// installs tells the folders of several installations by one process apart.
var installs atomic.Int64

// scimmy is the folder in which the libraries are installed, once for all tests of this user. Those that install at the
// same time do so in folders of their own, and the first to be done gives its folder the name.
func scimmy(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is needed for this test: apt-get install nodejs npm, or brew install node", program)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(cache, "homeroom-test", "scimmy-1.3.5")
	if _, err := os.Stat(folder); err == nil {
		return folder
	}
	mine := folder + "-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(installs.Add(1), 10)
	if err := os.MkdirAll(mine, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(mine)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", mine,
		"scimmy@1.3.5", "scimmy-routers@1.3.2", "express@4.22.3").CombinedOutput()
	if err != nil {
		t.Fatalf("npm cannot install scimmy, which this test needs; is its registry reachable? %v\n%s", err, out)
	}
	if err := os.Rename(mine, folder); err != nil {
		if _, there := os.Stat(folder); there != nil {
			t.Fatal(err)
		}
	}
	return folder
}
