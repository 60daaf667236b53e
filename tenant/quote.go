package tenant

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// generatedName matches the names besides the tenants' own that may become identifiers.
var generatedName = regexp.MustCompile(`^(homeroom_(owner|tenant)|homeroom_template_[0-9]+_[0-9a-f]{12}|t_[a-z2-7]{26}_kept_[0-9]{14})$`)

// quoteGenerated quotes the name of a database or role that this package generated, as an SQL identifier. Any other name is a
// programming error, and panics here rather than reaching Postgres.
func quoteGenerated(name string) string {
	if !databasePattern.MatchString(name) && !generatedName.MatchString(name) {
		panic(fmt.Sprintf("refusing to use %q as an SQL identifier", name))
	}
	return quoteIdent(name)
}

// quoteIdent quotes an SQL identifier that was read from the server or from the configuration.
func quoteIdent(name string) string { return pgx.Identifier{name}.Sanitize() }

// quoteLiteral quotes a text as an SQL string literal.
func quoteLiteral(text string) string {
	return "e'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(text) + "'"
}
