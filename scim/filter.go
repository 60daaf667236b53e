package scim

import "strings"

// equal is a filter for an attribute with exactly this value. The value is a JSON string (RFC 7644, section 3.4.2.2), of
// which quotes and backslashes must be escaped, lest an e-mail end the value and go on as a filter.
func equal(attribute, value string) string {
	return attribute + ` eq "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// member is the path of one entry of a multi-valued attribute. Asgardeo's documentation has the id without quotes, and
// RFC 7644 (section 3.5.2.2) with.
func member(attribute, id string, quoted bool) string {
	if quoted {
		return attribute + "[" + equal("value", id) + "]"
	}
	return attribute + "[value eq " + id + "]"
}
