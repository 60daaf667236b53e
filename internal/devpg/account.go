package devpg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
)

// account is the user that a server runs as. The zero value is the current user.
type account struct {
	name     string
	uid, gid int
	dropped  bool // the process is root and runs the server as another user
}

// serverUser chooses the account: the current user, or for root another user, since Postgres refuses root.
func serverUser() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(found.Uid)
		gid, err2 := strconv.Atoi(found.Gid)
		if err := errors.Join(err1, err2); err != nil {
			return account{}, fmt.Errorf("read ids of user %s: %w", name, err)
		}
		return account{name: name, uid: uid, gid: gid, dropped: true}, nil
	}
	return account{}, errors.New("choose a user for Postgres: it refuses to run as root, and there is no user named postgres or nobody; create one or run as another user")
}

// apply makes cmd run as the account.
func (a account) apply(cmd *exec.Cmd) {
	if a.dropped {
		setCredential(cmd, a.uid, a.gid)
	}
}

// chown makes the account the owner of path.
func (a account) chown(path string) error {
	if !a.dropped {
		return nil
	}
	if err := os.Lchown(path, a.uid, a.gid); err != nil {
		return fmt.Errorf("give %s to user %s: %w", path, a.name, err)
	}
	return nil
}

// blockedAt returns the first folder on the way to path that the account may not enter, "" if there is none. It reads
// permission bits; the usual cause is a checkout or a home under /root.
func (a account) blockedAt(path string) string {
	if !a.dropped {
		return ""
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && !a.canEnter(info) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// canEnter reads the permission bits that apply to the account.
func (a account) canEnter(info fs.FileInfo) bool {
	bit := fs.FileMode(0o001)
	if uid, gid, ok := ownerOf(info); ok {
		switch {
		case uid == a.uid:
			bit = 0o100
		case gid == a.gid:
			bit = 0o010
		}
	}
	return info.Mode().Perm()&bit != 0
}

// makeReachable creates dir and its missing parents so that the account may enter them, with any umask. It fails for an
// existing folder that the account may not enter.
func makeReachable(dir string, a account) error {
	var missing []string
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		missing = append(missing, d)
	}
	mode := fs.FileMode(0o700)
	if a.dropped {
		mode = 0o755
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	for _, d := range missing {
		if err := os.Chmod(d, mode); err != nil {
			return fmt.Errorf("open folder to user %s: %w", a.name, err)
		}
	}
	if at := a.blockedAt(filepath.Join(dir, "cluster")); at != "" {
		return fmt.Errorf("use folder %s: Postgres must run as user %s, who may not enter %s: choose another folder, or chmod a+x %s",
			dir, a.name, at, at)
	}
	return nil
}
