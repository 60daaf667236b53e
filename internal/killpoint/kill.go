//go:build killpoints

// Package killpoint names the places at which a crash test kills the process.
package killpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

var (
	at, nth = parse(os.Getenv("HOMEROOM_KILL_AT"))
	come    atomic.Int64
	haste   = max(number(os.Getenv("HOMEROOM_HASTE")), 1)
	trace   = open(os.Getenv("HOMEROOM_KILL_TRACE"))
)

func open(path string) *os.File {
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	return file
}

// parse reads "name" or "name:3".
func parse(text string) (name string, nth int64) {
	name, times, _ := strings.Cut(text, ":")
	return name, max(number(times), 1)
}

func number(text string) int64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		panic("killpoint: " + err.Error())
	}
	return n
}

// Here ends the process if HOMEROOM_KILL_AT has this name. Nothing is flushed, closed or unlocked.
func Here(name string) {
	if trace != nil {
		_, _ = trace.WriteString(name + "\n") // a single write, so that lines of goroutines do not mix
	}
	if at != name || come.Add(1) != nth {
		return
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		panic(err)
	}
	_ = self.Kill()
	select {} // the signal arrives during this wait
}

// ScaleTime returns the duration divided by HOMEROOM_HASTE.
func ScaleTime(d time.Duration) time.Duration { return d / time.Duration(haste) }
