package devpg

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// setParentDeathSignal has the kernel end cmd when we die, even by SIGKILL: with a fast shutdown, or at once for what need not tidy up.
//
// The kernel means the thread that forked, not the process: whoever starts cmd holds runtime.LockOSThread until it ends.
func setParentDeathSignal(cmd *exec.Cmd, atOnce bool) {
	attributes(cmd).Pdeathsig = syscall.SIGINT
	if atOnce {
		attributes(cmd).Pdeathsig = syscall.SIGKILL
	}
}

// isPostmaster tells whether pid is a server on data, rather than a stranger that got the number of a dead one.
func isPostmaster(_ context.Context, pid int, data string) bool {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err == nil && strings.Contains(string(line), data)
}
