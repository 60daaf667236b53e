//go:build unix && !linux

package devpg

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
)

// setParentDeathSignal does nothing here: only Linux ends a child with its parent. The next start stops an orphan.
func dieWithUs(*exec.Cmd, bool) {}

// isPostmaster reports whether pid is a server on data, not another process with a reused number.
func isPostmaster(ctx context.Context, pid int, data string) bool {
	line, err := exec.CommandContext(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(line), data)
}
