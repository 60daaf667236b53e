package signup

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"
)

// kept is the list of https://github.com/disposable-email-domains/disposable-email-domains (CC0 1.0); `make disposable`
// fetches today's. New domains come every day, so docs/signup-rules.md tells how to keep a newer list beside the program.
//
//go:embed disposable.txt
var embeddedList string

// Disposable are domains that give addresses away for minutes. They stand for their subdomains too.
type Disposable map[string]struct{}

// EmbeddedDisposable is the list that comes with the program.
func EmbeddedDisposable() Disposable {
	list, err := ReadDisposable(strings.NewReader(embeddedList))
	if err != nil {
		panic(err) // its test would have failed
	}
	return list
}

// ReadDisposable reads a list with a domain on each line, as github.com/disposable-email-domains (CC0) and its like are
// written. Empty lines and those that begin with # are passed over.
func ReadDisposable(r io.Reader) (Disposable, error) {
	list := Disposable{}
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		domain, err := NormaliseDomain(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		list[domain] = struct{}{}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read list: %w", err)
	}
	if len(list) == 0 {
		return nil, errors.New("the list is empty")
	}
	return list, nil
}

// Has reports whether a domain, written as DNS has it, is one of these or below one.
func (d Disposable) Has(domain string) bool {
	for {
		if _, there := d[domain]; there {
			return true
		}
		_, parent, found := strings.Cut(domain, ".")
		if !found {
			return false
		}
		domain = parent
	}
}
