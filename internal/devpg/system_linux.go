package devpg

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// setParentDeathSignal makes the kernel stop cmd when this process ends, even by SIGKILL: with a fast shutdown, or at once.
//
// The kernel watches the thread that forked, not the process: the caller must hold runtime.LockOSThread until cmd ends.
func setParentDeathSignal(cmd *exec.Cmd, atOnce bool) {
	attributes(cmd).Pdeathsig = syscall.SIGINT
	if atOnce {
		attributes(cmd).Pdeathsig = syscall.SIGKILL
	}
}

// isPostmaster reports whether pid is a server on data, not another process with a reused number.
func isPostmaster(_ context.Context, pid int, data string) bool {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err == nil && strings.Contains(string(line), data)
}
