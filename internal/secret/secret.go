// Package secret holds values that must never be printed.
package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// Redacted replaces every printed secret.
const Redacted = "[redacted]"

// String is a password, token or key. fmt, slog and encoding/json print it as [Redacted] (fmt not in an unexported field); only
// [String.Reveal] gives the value, so that every use of it can be found by that name.
type String string

// Reveal returns the value itself.
func (s String) Reveal() string { return string(s) }

// String implements [fmt.Stringer].
func (String) String() string { return Redacted }

// GoString implements [fmt.GoStringer], for %#v.
func (String) GoString() string { return Redacted }

// Format implements [fmt.Formatter], so that no verb, %x and %q included, prints the value.
func (String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// LogValue implements [slog.LogValuer].
func (String) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalJSON implements [json.Marshaler].
func (String) MarshalJSON() ([]byte, error) { return json.Marshal(Redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (String) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
