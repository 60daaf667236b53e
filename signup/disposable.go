package signup

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"
)

// embeddedList is the list of https://github.com/disposable-email-domains/disposable-email-domains (CC0 1.0); `make
// disposable` fetches the current one. New domains appear every day: docs/signup-rules.md describes how to use a newer
// list with this program.
//
//go:embed disposable.txt
var embeddedList string

// Disposable are domains of services that give out addresses for some minutes. They include their subdomains.
type Disposable map[string]struct{}

// EmbeddedDisposable returns the list that is part of the program.
func EmbeddedDisposable() Disposable {
	list, err := ReadDisposable(strings.NewReader(embeddedList))
	if err != nil {
		panic(err) // cannot happen: a test reads this list
	}
	return list
}

// ReadDisposable reads a list with one domain on each line, such as github.com/disposable-email-domains (CC0). It
// ignores empty lines and lines that begin with #.
func ReadDisposable(r io.Reader) (Disposable, error) {
	list := Disposable{}
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		domain, err := normaliseDomain(line)
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

// Has reports whether a domain, in its DNS form, is in the list or is a subdomain of one in the list.
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
