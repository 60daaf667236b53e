package scim

import "strings"

// equal returns a filter for an attribute with exactly this value. The value is a JSON string (RFC 7644, section
// 3.4.2.2), in which quotes and backslashes must be escaped, so that an e-mail cannot extend the filter.
func equal(attribute, value string) string {
	return attribute + ` eq "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// member returns the path of one entry of a multi-valued attribute. In Asgardeo's documentation the id has no quotes,
// in RFC 7644 (section 3.5.2.2) it has.
func member(attribute, id string, quoted bool) string {
	if quoted {
		return attribute + "[" + equal("value", id) + "]"
	}
	return attribute + "[value eq " + id + "]"
}
