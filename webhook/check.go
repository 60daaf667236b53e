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

// InvalidError lists the invalid fields of an endpoint.
type InvalidError struct{ Fields []FieldError }

// FieldError is the error of one field.
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

// check validates the fields that are not nil, and normalises them.
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

// checkURL rejects a URL that could never be called, and normalises it otherwise. A host name is resolved at each call,
// because its address may change.
func (s *Service) checkURL(text string, into *string) (code string, message messages.Message) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return "invalid_format", messages.ID("field.url_invalid")
	}
	port, portErr := strconv.ParseUint(u.Port(), 10, 16)
	addr, err := netip.ParseAddr(u.Hostname())
	literal := err == nil
	inAllowed := len(s.cfg.Allow) > 0 && (!literal || s.guard.allows(addr)) // or a name that may resolve to such an address
	for _, rule := range []struct {
		broken  bool
		code    string
		message messages.Message
	}{
		{text == "", "required", messages.ID("field.url_required")},
		{len(text) > maxURLLength, "too_long", messages.ID("field.too_long", messages.Args{"Limit": maxURLLength})},
		{u.Scheme != "https" && u.Scheme != "http", "invalid_format", messages.ID("field.url_scheme")},
		{u.Hostname() == "", "invalid_format", messages.ID("field.url_host")},
		{u.Port() != "" && (portErr != nil || port == 0), "invalid_format", messages.ID("field.url_port")},
		{strings.HasSuffix(u.Host, ":"), "invalid_format", messages.ID("field.url_port")},
		{u.User != nil, "invalid_format", messages.ID("field.url_user")},
		{u.Fragment != "" || strings.HasSuffix(text, "#"), "invalid_format", messages.ID("field.url_fragment")},
		{u.Scheme == "http" && !inAllowed, "not_https", messages.ID("field.url_https")},
		{literal && !s.guard.permits(addr), "address_refused", messages.ID("field.url_address")},
		{u.Port() != "" && port != tlsPort && !inAllowed, "port_refused", messages.ID("field.url_port_refused")},
	} {
		if rule.broken {
			return rule.code, rule.message
		}
	}
	*into = u.String()
	return "", messages.Message{}
}
