package signup

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/idna"

	"homeroom/identity"
)

// normaliseDomain returns a domain in its canonical form: in lower case, in its DNS form (RFC 5891), without dots at
// its ends.
func normaliseDomain(text string) (string, error) {
	name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(text), "@"), "."), ".")
	domain, err := idna.Lookup.ToASCII(name)
	if err != nil || !domainName.MatchString(domain) {
		return "", fmt.Errorf("%q is not the name of a domain, such as lincoln.example", text)
	}
	return domain, nil
}

// ParseDomains reads domains that are separated by commas.
func ParseDomains(text string) ([]string, error) {
	var domains []string
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		domain, err := normaliseDomain(part)
		if err != nil {
			return nil, err
		}
		domains = append(domains, domain)
	}
	return domains, nil
}

// ParseFields reads fields that are separated by commas, such as "givenName:required,phone". A field without a suffix
// is optional.
func ParseFields(text string) (Fields, error) {
	fields := Fields{}
	for part := range strings.SplitSeq(text, ",") {
		name, word, given := strings.Cut(strings.TrimSpace(part), ":")
		if name == "" && !given {
			continue
		}
		presence := Presence(word)
		if !given {
			presence = Optional
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("the field %q is there twice", name)
		}
		fields[name] = presence
		if !fields.valid() {
			return nil, fmt.Errorf("%q is no field: use givenName, familyName, %s, each with :required or :optional behind it",
				part, strings.Join(identity.ProfileFields, ", "))
		}
	}
	if len(fields) == 0 && strings.TrimSpace(text) != "" {
		return nil, errors.New("it names no field")
	}
	return fields, nil
}
