// Package setting names the settings of the service in errors and advice for its operators.
//
// A library knows the fields of its Config; only the program knows what an operator sets for them. The Config of a library that
// gives advice has a field of type [Names], which the program fills.
package setting

import (
	"fmt"
	"os"
)

// Names returns the setting of a field of a Config, such as the name of an environment variable. It is also asked for
// "Servers.<name>", the URL of the server with this name. A nil Names returns the field.
type Names func(field string) string

// Of returns the setting of a field.
func (n Names) Of(field string) string {
	if n == nil {
		return field
	}
	return n(field)
}

// Sprintf replaces $field and ${field} in a constant format by the settings of these fields, and formats the result.
func (n Names) Sprintf(format string, args ...any) string {
	return fmt.Sprintf(os.Expand(format, n.Of), args...)
}
