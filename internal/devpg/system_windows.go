package devpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

func setCredential(*exec.Cmd, int, int) {}

// ownGroup keeps the console's Ctrl-C from cmd: it reaches us alone, and we stop the server in order.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// dieWithUs does nothing here. The next start stops what a killed one left.
func dieWithUs(*exec.Cmd, bool) {}

// isPostmaster tells whether pid is a server, rather than a stranger that got the number of a dead one.
func isPostmaster(ctx context.Context, pid int, _ string) bool {
	out, err := exec.CommandContext(ctx, "tasklist", "/NH", "/FO", "CSV", "/FI", "PID eq "+strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), "postgres.exe")
}

// signal asks a postmaster to shut down. Windows has no signals: Postgres emulates them, and pg_ctl sends them.
func (b Binaries) signal(ctx context.Context, pid int, mode Mode) error {
	name := "INT"
	if mode == Immediate {
		name = "QUIT"
	}
	out, err := exec.CommandContext(ctx, b.path("pg_ctl"), "kill", name, strconv.Itoa(pid)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("signal postmaster %d: %w: %s", pid, err, out)
	}
	return nil
}

// lockFile takes a lock that ends with this process: a file opened without sharing. It never waits.
func lockFile(path string) (*os.File, error) {
	const sharingViolation = syscall.Errno(32)
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(handle), path), nil
}

// unlockFile gives the lock back.
func unlockFile(file *os.File) error { return file.Close() }

func ownerOf(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }
