package webhook

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// InvalidError lists everything that is wrong with a wish.
type InvalidError struct{ Fields []FieldError }

// FieldError is what is wrong with one field.
type FieldError struct {
	Field string
	// Code is for programs, Message for people. Neither repeats the value.
	Code, Message string
}

// Error implements error.
func (e *InvalidError) Error() string {
	texts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		texts[i] = f.Field + ": " + f.Message
	}
	return strings.Join(texts, " ")
}

const (
	longestURL         = 2000
	longestDescription = 200
)

// check looks at the fields that are there, and brings them into the one form in which they are kept.
func (s *Service) check(address, description *string, events *[]string) error {
	var wrong []FieldError
	if address != nil {
		if code, message := s.checkURL(strings.TrimSpace(*address), address); code != "" {
			wrong = append(wrong, FieldError{"url", code, message})
		}
	}
	if description != nil {
		*description = strings.TrimSpace(*description)
		switch {
		case utf8.RuneCountInString(*description) > longestDescription:
			wrong = append(wrong, FieldError{"description", "too_long", fmt.Sprintf("Use at most %d characters.", longestDescription)})
		case strings.ContainsFunc(*description, unicode.IsControl):
			wrong = append(wrong, FieldError{"description", "invalid_characters", "Use no control characters."})
		}
	}
	if events != nil {
		known := Events()
		list := slices.Compact(slices.Sorted(slices.Values(*events)))
		if slices.ContainsFunc(list, func(event string) bool { return !slices.Contains(known, event) }) {
			wrong = append(wrong, FieldError{"events", "invalid_choice", "Choose among " + strings.Join(known, ", ") + "; none are all."})
		}
		*events = list
	}
	if len(wrong) > 0 {
		return &InvalidError{wrong}
	}
	return nil
}

// checkURL refuses what could never be called. A name is resolved only when it is called, for its address may be another
// one by then.
func (s *Service) checkURL(text string, into *string) (code, message string) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return "invalid_format", "Use a URL such as https://hooks.lincoln.example/homeroom."
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	addr, literal := netip.ParseAddr(u.Hostname())
	switch {
	case text == "":
		return "required", "A URL is needed."
	case len(text) > longestURL:
		return "too_long", fmt.Sprintf("Use at most %d characters.", longestURL)
	case u.Scheme != "https" && u.Scheme != "http":
		return "invalid_format", "Use a URL that begins with https://."
	case u.Hostname() == "":
		return "invalid_format", "The URL names no host."
	case u.Port() != "" && (err != nil || port == 0), strings.HasSuffix(u.Host, ":"):
		return "invalid_format", "The URL's port is not one."
	case u.User != nil:
		return "invalid_format", "Leave user and password out of the URL: requests are signed instead."
	case u.Fragment != "" || strings.HasSuffix(text, "#"):
		return "invalid_format", "Leave out what follows the #: it is never sent."
	case u.Scheme == "http" && (len(s.cfg.Allow) == 0 || literal == nil && !s.guard.allows(addr)):
		return "not_https", "Use https://. Plain http:// is for networks that the operator allows."
	case literal == nil && !s.guard.admits(addr):
		return "address_refused", "This address is not on the internet, and the operator does not allow it."
	case u.Scheme == "https" && u.Port() != "" && port != tlsPort && (len(s.cfg.Allow) == 0 || literal == nil && !s.guard.allows(addr)):
		return "port_refused", "Use port 443. Other ports are for networks that the operator allows."
	}
	*into = u.String()
	return "", ""
}
