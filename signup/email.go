package signup

import (
	"errors"
	"regexp"
	"strings"

	"golang.org/x/net/idna"

	"homeroom/messages"
)

// localPart is RFC 5321's dot-string. Quoted local parts are not accepted: providers treat them differently, and they
// are not used in practice.
var localPart = regexp.MustCompile("^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")

// addressError is the reason why an address is not accepted, as a part of a sentence.
type addressError messages.Message

// Error implements error.
func (e addressError) Error() string { return messages.Message(e).String() }

// messageOf returns the message of an error of [NormaliseEmail].
func messageOf(err error) messages.Message {
	var wrong addressError
	errors.As(err, &wrong)
	return messages.Message(wrong)
}

// NormaliseEmail returns an e-mail address in its canonical form: trimmed, in lower case, the domain in its DNS form
// (RFC 5891). It maps no characters except ASCII letters to lower case, so that two addresses that only look the same
// stay different. It rejects addresses that would need more.
func NormaliseEmail(text string) (string, error) {
	text = strings.TrimSpace(text)
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return "", addressError(messages.ID("part.email_no_at"))
	}
	local, domain := asciiLower(text[:at]), asciiLower(text[at+1:])
	if len(local) > 64 || !localPart.MatchString(local) {
		return "", addressError(messages.ID("part.email_local"))
	}
	domain, err := idna.Registration.ToASCII(domain)
	if err != nil || !strings.Contains(domain, ".") || !domainName.MatchString(domain) {
		return "", addressError(messages.ID("part.email_domain"))
	}
	if len(local)+1+len(domain) > 254 {
		return "", addressError(messages.ID("part.email_long"))
	}
	return local + "@" + domain, nil
}

var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// asciiLower is strings.ToLower for ASCII only: the full mapping would turn the Kelvin sign into a k.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
