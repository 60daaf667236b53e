//go:build unix && !linux

package devpg

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
)

// dieWithUs does nothing here: only Linux ends a child with its parent. The next start stops what a killed one left.
func dieWithUs(*exec.Cmd, bool) {}

// isPostmaster tells whether pid is a server on data, rather than a stranger that got the number of a dead one.
func isPostmaster(ctx context.Context, pid int, data string) bool {
	line, err := exec.CommandContext(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(line), data)
}
