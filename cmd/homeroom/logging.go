package main

import (
	"context"
	"log/slog"
)

// warnings returns a logger that drops records below the level of a warning.
func warnings(logger *slog.Logger) *slog.Logger {
	return slog.New(atLeast{logger.Handler(), slog.LevelWarn})
}

// atLeast is a handler with a level of its own.
type atLeast struct {
	slog.Handler
	level slog.Level
}

// Enabled implements [slog.Handler].
func (h atLeast) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level && h.Handler.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{h.Handler.WithAttrs(attrs), h.level}
}

// WithGroup implements [slog.Handler].
func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{h.Handler.WithGroup(name), h.level}
}
