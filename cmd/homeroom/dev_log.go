//go:build dev

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"homeroom/internal/display"
)

// devLog writes everything to a file, and to the terminal only what a developer wants to see at once: a short line
// for each request, and warnings and errors.
type devLog struct {
	file slog.Handler
	// mu keeps lines whole; all handlers of one log share it.
	mu       *sync.Mutex
	terminal io.Writer
	attrs    []slog.Attr
}

func newDevLog(file, terminal io.Writer) *devLog {
	return &devLog{file: slog.NewTextHandler(file, nil), mu: &sync.Mutex{}, terminal: terminal}
}

// Enabled implements [slog.Handler].
func (h *devLog) Enabled(ctx context.Context, level slog.Level) bool {
	return h.file.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (h *devLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.file, with.attrs = h.file.WithAttrs(attrs), slices.Concat(h.attrs, attrs)
	return &with
}

// WithGroup implements [slog.Handler].
func (h *devLog) WithGroup(name string) slog.Handler {
	with := *h
	with.file = h.file.WithGroup(name)
	return &with
}

// Handle implements [slog.Handler].
func (h *devLog) Handle(ctx context.Context, record slog.Record) error {
	if line := h.line(record); line != "" {
		h.mu.Lock()
		defer h.mu.Unlock()
		_, _ = fmt.Fprintln(h.terminal, display.Text(line))
	}
	return h.file.Handle(ctx, record)
}

// line returns what the terminal shows of a record; it is empty for a record that only goes to the file.
func (h *devLog) line(record slog.Record) string {
	values := map[string]slog.Value{}
	var rest strings.Builder
	record.Attrs(func(attr slog.Attr) bool {
		values[attr.Key] = attr.Value
		fmt.Fprintf(&rest, "  %s=%v", attr.Key, attr.Value.Resolve())
		return true
	})
	at := record.Time.Format(time.TimeOnly)
	if record.Message == "request" {
		took := values["took"].Duration()
		if took > time.Millisecond {
			took = took.Round(time.Millisecond)
		}
		line := fmt.Sprintf("%s  %v  %v %v  %v", at, values["status"], values["method"], values["route"], took)
		if code, failed := values["code"]; failed {
			line += "  " + code.String()
		}
		if text, known := values["error"]; known && record.Level >= slog.LevelError {
			line += "  " + text.String()
		}
		return line
	}
	if record.Level < slog.LevelWarn {
		return ""
	}
	return fmt.Sprintf("%s  %s  %s%s", at, record.Level, record.Message, rest.String())
}
