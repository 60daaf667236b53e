//go:build unix

package devpg_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"homeroom/internal/devpg"
)

// installed is the Postgres that the tests on this machine run with.
func installed(t *testing.T) devpg.Binaries {
	t.Helper()
	found, err := devpg.FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// packageFiles are those of an npm package whose programs are the installed ones.
func packageFiles(bin devpg.Binaries) map[string]string {
	return map[string]string{
		"package.json":                `{"version": "18.4.0-test"}`,
		"native/bin/postgres":         "#!/bin/sh\nexec " + filepath.Join(bin.Dir, "postgres") + ` "$@"` + "\n",
		"native/bin/initdb":           "#!/bin/sh\nexec " + filepath.Join(bin.Dir, "initdb") + ` "$@"` + "\n",
		"native/lib/libpq.so.5.18":    "a library",
		"native/pg-symlinks.json":     `[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`,
		"native/share/postgres.bki":   "data",
		"scripts/hydrate-symlinks.js": "never run",
	}
}

func TestLinksStayInsideThePackage(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "native"), 0o755); err != nil {
		t.Fatal(err)
	}
	list := `[{"source":"native/lib/x","target":"../outside"}]`
	if err := os.WriteFile(filepath.Join(root, "native", "pg-symlinks.json"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := devpg.LinkLibraries(root); err == nil || !strings.Contains(err.Error(), "outside of the package") {
		t.Errorf("link outside of the package: %v, want refused", err)
	}
}

// archive packs files as npm does.
func archive(t *testing.T, files map[string]string) (content []byte, sum string) {
	t.Helper()
	var buf bytes.Buffer
	zipped := gzip.NewWriter(&buf)
	tarball := tar.NewWriter(zipped)
	for name, text := range files {
		mode := int64(0o644)
		if strings.HasPrefix(name, "native/bin/") {
			mode = 0o755
		}
		if err := tarball.WriteHeader(&tar.Header{Name: "package/" + name, Mode: mode, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tarball.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tarball.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	hash := sha512.Sum512(buf.Bytes())
	return buf.Bytes(), base64.StdEncoding.EncodeToString(hash[:])
}

// mirror is an npm registry with one package.
func mirror(t *testing.T, content []byte) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/mirror/@embedded-postgres/") || !strings.HasSuffix(r.URL.Path, "-18.4.0-beta.17.tgz") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content)
	}))
	t.Cleanup(server.Close)
	t.Setenv("npm_config_registry", strings.Replace(server.URL, "http://", "http://me:hidden@", 1)+"/mirror/")
}

func TestDownload(t *testing.T) { // sets the environment: not parallel
	content, sum := archive(t, packageFiles(installed(t)))
	mirror(t, content)
	t.Cleanup(devpg.SetIntegrity(sum))
	dir := folder(t)
	var notice bytes.Buffer
	cfg := devpg.Config{Dir: filepath.Join(dir, "state"), BinariesDir: filepath.Join(dir, "binaries"), Notice: &notice}
	bin, err := cfg.Download(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"18.4.0-beta.17", "25 MB", "/mirror/@embedded-postgres/", cfg.BinariesDir, "  100% of "} {
		if !strings.Contains(notice.String(), want) {
			t.Errorf("notice %q lacks %q", notice.String(), want)
		}
	}
	if strings.Contains(notice.String(), "hidden") {
		t.Errorf("notice %q shows the password of the mirror", notice.String())
	}
	if text, err := os.ReadFile(filepath.Join(filepath.Dir(bin.Dir), "lib", "libpq.so.5")); err != nil || string(text) != "a library" {
		t.Errorf("the link to a library reads %q, %v", text, err)
	}
	t.Setenv(devpg.EnvBin, bin.Dir)
	if got := query(t, start(t, cfg), `select 'works'`); got != "works" {
		t.Errorf("select 'works' = %q", got)
	}
	notice.Reset()
	if again, err := cfg.Download(t.Context()); err != nil || again != bin || notice.Len() > 0 {
		t.Errorf("second download: %v, %v, notice %q; want the first one's result without a word", again, err, notice.String())
	}
}

func TestDownloadIsRefused(t *testing.T) {
	files := packageFiles(installed(t))
	good, sum := archive(t, files)
	files["../../outside"] = "caught"
	escaping, escapingSum := archive(t, files)
	for name, c := range map[string]struct {
		content []byte
		sum     string
		want    string
	}{
		"when its checksum is another":    {append(slices.Clone(good), 0), sum, "SHA-512"},
		"when it leads out of its folder": {escaping, escapingSum, "escapes"},
	} {
		t.Run(name, func(t *testing.T) {
			mirror(t, c.content)
			t.Cleanup(devpg.SetIntegrity(c.sum))
			dir := folder(t)
			cfg := devpg.Config{BinariesDir: filepath.Join(dir, "binaries"), Notice: &bytes.Buffer{}}
			_, err := cfg.Download(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("download: %v, want %q in it and no password", err, c.want)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "binaries", "*-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestRegistryIsTheOneOfNPM(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	t.Setenv("npm_config_registry", "")
	t.Setenv("NPM_CONFIG_REGISTRY", "")
	if got, err := devpg.Registry(t.Context()); err == nil || !strings.Contains(err.Error(), "npm_config_registry") {
		t.Errorf("without npm: %q, %v; want to be told what to set", got, err)
	}
	npm := "#!/bin/sh\ntest \"$*\" = 'config get registry' && echo https://npm.school.example/\n"
	if err := os.WriteFile(filepath.Join(bin, "npm"), []byte(npm), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := devpg.Registry(t.Context()); err != nil || got != "https://npm.school.example/" {
		t.Errorf("with npm configured: %s, %v; want its registry", got, err)
	}
	t.Setenv("npm_config_registry", "https://env.school.example")
	if got, err := devpg.Registry(t.Context()); err != nil || got != "https://env.school.example" {
		t.Errorf("with npm_config_registry set: %s, %v; want that", got, err)
	}
}

func TestBinariesNamedByEnvironment(t *testing.T) {
	bin := installed(t)
	t.Run("are the ones used", func(t *testing.T) {
		dir := folder(t)
		if err := os.Symlink(bin.Dir, filepath.Join(dir, "chosen")); err != nil {
			t.Fatal(err)
		}
		t.Setenv(devpg.EnvBin, filepath.Join(dir, "chosen"))
		if got := installed(t); got.Dir != filepath.Join(dir, "chosen") || got.Version != bin.Version {
			t.Errorf("found %+v, want the chosen folder", got)
		}
	})
	t.Run("are not replaced by others when missing", func(t *testing.T) {
		dir := folder(t)
		t.Setenv(devpg.EnvBin, dir)
		_, err := devpg.Start(t.Context(), devpg.Config{Dir: filepath.Join(dir, "state")})
		if !errors.Is(err, devpg.ErrNoBinaries) || !strings.Contains(err.Error(), dir) {
			t.Errorf("start: %v, want ErrNoBinaries naming %s", err, dir)
		}
	})
	t.Run("must be new enough", func(t *testing.T) {
		dir := folder(t)
		for _, program := range []string{"postgres", "initdb"} {
			script := "#!/bin/sh\necho 'postgres (PostgreSQL) 9.6.24'\n"
			if err := os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv(devpg.EnvBin, dir)
		if _, err := devpg.FindBinaries(); err == nil || !strings.Contains(err.Error(), "9.6.24 is too old") {
			t.Errorf("find: %v, want too old", err)
		}
	})
}

func TestPostgresOnPathComesFirst(t *testing.T) {
	dir := folder(t)
	binary, err := osexec.LookPath(filepath.Join(installed(t).Dir, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"postgres", "initdb"} {
		script := "#!/bin/sh\nexec " + filepath.Join(filepath.Dir(binary), program) + ` "$@"` + "\n"
		if err := os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(devpg.EnvBin, "")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if got := installed(t); got.Dir != dir {
		t.Errorf("found %s, want %s", got.Dir, dir)
	}
}
