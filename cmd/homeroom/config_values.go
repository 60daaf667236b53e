package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"homeroom/catalog"
	"homeroom/internal/secret"
)

// tenantKey is the key from which the tenants' passwords are derived.
type tenantKey []byte

// String redacts it.
func (tenantKey) String() string { return secret.Redacted }

// UnmarshalText reads it from base64, with or without padding. Text in hexadecimal is valid base64 by accident, and
// would give another key than the user meant; the prefix "base64:" says that base64 is meant.
func (k *tenantKey) UnmarshalText(text []byte) error {
	value, isBase64 := strings.CutPrefix(strings.TrimSpace(string(text)), "base64:")
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	if err != nil || len(raw) < 32 {
		return errors.New("must be at least 32 bytes in base64: make one with `openssl rand -base64 32`")
	}
	if inHex, err := hex.DecodeString(value); err == nil && !isBase64 {
		if isWeak(inHex) {
			return errWeakKey
		}
		return errors.New("is in hexadecimal, and is read as base64: make a new one with `openssl rand -base64 32`; " +
			"or, if there are schools that were made with this one, write base64: before it")
	}
	if isWeak(raw) {
		return errWeakKey
	}
	*k = raw
	return nil
}

var errWeakKey = errors.New("can be guessed: its bytes repeat, or count up. Make one with `openssl rand -base64 32`")

// isWeak reports whether a key was not drawn at random: it has few different bytes, repeats a sequence, or counts up
// or down. Of random keys, at most one in 10^20 is rejected.
func isWeak(key []byte) bool {
	different := map[byte]bool{}
	steps := map[byte]bool{}
	for i, b := range key {
		different[b] = true
		if i > 0 {
			steps[b-key[i-1]] = true
		}
	}
	for period := 1; period <= len(key)/2; period++ {
		if bytes.Equal(key[period:], key[:len(key)-period]) {
			return true
		}
	}
	return len(different) < 12 || len(steps) < 8
}

// rate is a number of times per period; nil is no limit.
type rate struct{ allowance *catalog.Allowance }

// UnmarshalText reads "5/1h" or "off".
func (r *rate) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		r.allowance = nil
		return nil
	}
	count, period, _ := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(count)
	window, wrong := time.ParseDuration(period)
	if err != nil || wrong != nil || n < 1 || window < time.Second {
		return errors.New("use a number of times per period of a second or more, such as 5/1h, or off")
	}
	r.allowance = &catalog.Allowance{Count: n, Window: window}
	return nil
}

// limit bounds how long something may last; 0 means no bound.
type limit time.Duration

// UnmarshalText reads "30m" or "off".
func (l *limit) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*l = 0
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < time.Second {
		return errors.New("use a duration of a second or more, such as 30m, or off")
	}
	*l = limit(d)
	return nil
}

// size is a number of bytes.
type size int64

// UnmarshalText reads "500MiB", "2g" (both binary) or "off".
func (s *size) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*s = 0
		return nil
	}
	n, err := units.RAMInBytes(string(text))
	if err != nil || n < 0 {
		return errors.New("use a size such as 500MiB or 2GiB, or off")
	}
	*s = size(n)
	return nil
}
