package webhook

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"homeroom/messages"
)

// InvalidError lists everything that is wrong with a wish.
type InvalidError struct{ Fields []FieldError }

// FieldError is what is wrong with one field.
type FieldError struct {
	Field string
	// Code is for programs, Message for people. Neither repeats the value.
	Code    string
	Message messages.Message
}

// Error implements error.
func (e *InvalidError) Error() string {
	texts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		texts[i] = f.Field + ": " + f.Message.String()
	}
	return strings.Join(texts, " ")
}

const (
	maxURLLength         = 2000
	maxDescriptionLength = 200
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
		case utf8.RuneCountInString(*description) > maxDescriptionLength:
			wrong = append(wrong, FieldError{"description", "too_long", messages.ID("field.too_long", messages.Args{"Limit": maxDescriptionLength})})
		case strings.ContainsFunc(*description, unicode.IsControl):
			wrong = append(wrong, FieldError{"description", "invalid_characters", messages.ID("field.control_characters")})
		}
	}
	if events != nil {
		known := Events()
		list := slices.Compact(slices.Sorted(slices.Values(*events)))
		if slices.ContainsFunc(list, func(event string) bool { return !slices.Contains(known, event) }) {
			wrong = append(wrong, FieldError{"events", "invalid_choice", messages.ID("field.event_choice", messages.Args{"Choices": strings.Join(known, ", ")})})
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
func (s *Service) checkURL(text string, into *string) (code string, message messages.Message) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return "invalid_format", messages.ID("field.url_invalid")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	addr, literal := netip.ParseAddr(u.Hostname())
	switch {
	case text == "":
		return "required", messages.ID("field.url_required")
	case len(text) > maxURLLength:
		return "too_long", messages.ID("field.too_long", messages.Args{"Limit": maxURLLength})
	case u.Scheme != "https" && u.Scheme != "http":
		return "invalid_format", messages.ID("field.url_scheme")
	case u.Hostname() == "":
		return "invalid_format", messages.ID("field.url_host")
	case u.Port() != "" && (err != nil || port == 0), strings.HasSuffix(u.Host, ":"):
		return "invalid_format", messages.ID("field.url_port")
	case u.User != nil:
		return "invalid_format", messages.ID("field.url_user")
	case u.Fragment != "" || strings.HasSuffix(text, "#"):
		return "invalid_format", messages.ID("field.url_fragment")
	case u.Scheme == "http" && (len(s.cfg.Allow) == 0 || literal == nil && !s.guard.allows(addr)):
		return "not_https", messages.ID("field.url_https")
	case literal == nil && !s.guard.permits(addr):
		return "address_refused", messages.ID("field.url_address")
	case u.Scheme == "https" && u.Port() != "" && port != tlsPort && (len(s.cfg.Allow) == 0 || literal == nil && !s.guard.allows(addr)):
		return "port_refused", messages.ID("field.url_port_refused")
	}
	*into = u.String()
	return "", messages.Message{}
}
