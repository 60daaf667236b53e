package signup

import (
	"errors"
	"regexp"
	"strings"

	"golang.org/x/net/idna"

	"homeroom/messages"
)

// localPart is RFC 5321's dot-string. Quoted local parts are left out: providers differ on them, and nobody has one.
var localPart = regexp.MustCompile("^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")

// addressError says what is wrong with an address, as a part of a sentence.
type addressError messages.Message

// Error implements error.
func (e addressError) Error() string { return messages.Message(e).String() }

// messageOf is what an error of [NormaliseEmail] says.
func messageOf(err error) messages.Message {
	var wrong addressError
	errors.As(err, &wrong)
	return messages.Message(wrong)
}

// NormaliseEmail returns the one spelling of an e-mail address: trimmed, in lower case, the domain as DNS has it
// (RFC 5891). No character is ever mapped to another but ASCII letters to lower case: two people whose addresses differ in
// look-alikes stay two people. Addresses that would need more are refused.
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

// asciiLower is strings.ToLower for ASCII alone: the full mapping would turn the Kelvin sign into a k.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
