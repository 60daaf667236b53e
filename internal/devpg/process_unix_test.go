//go:build unix

package devpg_test

import (
	"bufio"
	"errors"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/internal/devpg"
	"homeroom/internal/pgtest"
)

// postmasterOf reads the pid of the server in dir, and its address.
func postmasterOf(t *testing.T, dir string) (pid int, url string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "cluster", "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	password, err := os.ReadFile(filepath.Join(dir, "password"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if pid, err = strconv.Atoi(lines[0]); err != nil {
		t.Fatal(err)
	}
	return pid, "postgres://postgres:" + string(password) + "@127.0.0.1:" + lines[3] + "/postgres?sslmode=disable"
}

// startKillable has another process start a server in dir.
func startKillable(t *testing.T, dir string) *osexec.Cmd {
	t.Helper()
	helper := osexec.CommandContext(t.Context(), os.Args[0])
	helper.Env = append(os.Environ(), helperDir+"="+dir)
	out, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "<nil>\n" {
		t.Fatalf("the helper says %q, %v", line, err)
	}
	return helper
}

func kill(t *testing.T, helper *osexec.Cmd) {
	t.Helper()
	if err := helper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = helper.Wait()
}

func TestServerDiesWithItsKilledParent(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	helper := startKillable(t, dir)
	pid, url := postmasterOf(t, dir)
	conn := pgtest.Connect(t, url)
	if _, err := conn.Exec(t.Context(), `create table kept as select 'yes' as answer`); err != nil {
		t.Fatal(err)
	}
	if _, err := devpg.Start(t.Context(), devpg.Config{Dir: dir}); !errors.Is(err, devpg.ErrInUse) {
		t.Errorf("start beside another process: %v, want ErrInUse", err)
	}
	kill(t, helper)
	if runtime.GOOS == "linux" { // elsewhere the next start has to stop it
		_, err := conn.Exec(t.Context(), `select pg_sleep(20)`)
		var ended *pgconn.PgError
		if !errors.As(err, &ended) || ended.Code != "57P01" {
			t.Errorf("a session of the orphan ends with %v, want an orderly shutdown (57P01)", err)
		}
	}

	server := start(t, devpg.Config{Dir: dir})
	if now, _ := postmasterOf(t, dir); now == pid {
		t.Errorf("the orphan %d still serves", pid)
	}
	if got := query(t, server, `select answer from kept`); got != "yes" {
		t.Errorf("kept = %q, want yes", got)
	}
	if log, _ := os.ReadFile(server.LogFile()); strings.Contains(string(log), "not properly shut down") {
		t.Error("the orphan was not shut down in order")
	}
}

// TestStartStopsAnOrphan runs what happens where the kernel does not end a server with its parent: one made by hand.
func TestStartStopsAnOrphan(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	first := start(t, devpg.Config{Dir: dir})
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	orphan := osexec.CommandContext(t.Context(), filepath.Join(first.BinDir(), "postgres"), "-D", first.DataDir(),
		"-c", "port="+strconv.Itoa(first.Port()), "-c", "unix_socket_directories=", "-c", "fsync=off")
	runAsOwnerOf(t, orphan, first.DataDir())
	messages, err := orphan.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	lines := bufio.NewScanner(messages)
	for lines.Scan() && !strings.Contains(lines.Text(), "ready to accept connections") {
		continue
	}
	go func() {
		for lines.Scan() {
			continue
		}
		_ = orphan.Wait()
		close(ended)
	}()

	second := start(t, devpg.Config{Dir: dir})
	<-ended
	if !orphan.ProcessState.Success() {
		t.Errorf("the orphan ended with %v, want an orderly shutdown", orphan.ProcessState)
	}
	if second.Port() != first.Port() {
		t.Errorf("port = %d, want the orphan's %d", second.Port(), first.Port())
	}
}

func TestRemoveStopsNoOtherProcess(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	data := filepath.Join(dir, "cluster", "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	// After a reboot the pid in the file may be anybody's: here it is ours.
	if err := os.WriteFile(filepath.Join(data, "postmaster.pid"), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := devpg.Remove(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("folder after Remove: %v", err)
	}
	if err := devpg.Remove(t.Context(), dir); err != nil {
		t.Errorf("second Remove: %v", err)
	}
}

func TestServerHasItsOwnProcessGroup(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	start(t, devpg.Config{Dir: dir})
	pid, _ := postmasterOf(t, dir)
	group, err := syscall.Getpgid(pid)
	if err != nil || group == syscall.Getpgrp() {
		t.Errorf("process group %d, %v: Ctrl-C would hit the server before us", group, err)
	}
}

// TestUnreachableFolder: only root changes user, so only root can be shut out of its own folder.
func TestUnreachableFolder(t *testing.T) {
	t.Parallel()
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	server, err := devpg.Start(t.Context(), devpg.Config{Dir: filepath.Join(closed, "state"), Settings: fast})
	if os.Geteuid() != 0 {
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), "may not enter") || !strings.Contains(err.Error(), "chmod a+x") {
		t.Errorf("start below a closed folder: %v, want which folder and what to do", err)
	}
}

func TestServerDoesNotRunAsRoot(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	server := start(t, devpg.Config{Dir: dir})
	info, err := os.Stat(server.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	if owner == 0 || os.Geteuid() != 0 && owner != os.Geteuid() {
		t.Errorf("the data belong to user %d; we are %d", owner, os.Geteuid())
	}
}

// runAsOwnerOf runs cmd as the user whom path belongs to.
func runAsOwnerOf(t *testing.T, cmd *osexec.Cmd, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	if int(stat.Uid) != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}}
	}
}
