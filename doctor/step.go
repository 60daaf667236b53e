package doctor

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
)

// Step is what a person can do next about a finding, exact enough for a program. One of Command and SQL is set.
type Step struct {
	// Text says what the step does, and who can do it.
	Text string `json:"text"`
	// Command is a line for a shell.
	Command string `json:"command,omitempty"`
	// SQL is to be run in Database: one of the finding's server, or the catalog's own, for which [InCatalog] stands.
	SQL      string `json:"sql,omitempty"`
	Database string `json:"database,omitempty"`
}

// InCatalog is the Database of a [Step] whose SQL is for the catalog.
const InCatalog = "(the catalog)"

// maintenanceDatabase is where statements about databases and roles are run.
const maintenanceDatabase = "postgres"

// String returns the step in one line.
func (s Step) String() string {
	if s.Command != "" {
		return s.Text + ": " + s.Command
	}
	return s.Text + ", in database " + s.Database + ": " + s.SQL
}

// withSteps adds steps to a finding.
func (f Finding) withSteps(steps ...Step) Finding {
	f.Next = append(f.Next, steps...)
	return f
}

// withCondition adds the condition for a step.
func (s Step) withCondition(condition string) Step {
	s.Text = condition + ": " + strings.ToLower(s.Text[:1]) + s.Text[1:]
	return s
}

// quote quotes a name that others chose as an SQL identifier.
func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// asSuperuser returns a statement that needs a superuser of the finding's server.
func asSuperuser(database, sql string) Step {
	return Step{Text: "As a superuser run", SQL: sql, Database: database}
}

// asOwner returns a statement that our own role may run too.
func asOwner(database, sql string) Step {
	return Step{Text: "As a superuser, or as the role in the server's URL, run", SQL: sql, Database: database}
}

// inCatalog returns a statement for the catalog.
func inCatalog(text, sql string) Step { return Step{Text: text, SQL: sql, Database: InCatalog} }

// command returns a command line of this program.
func command(text, line string) Step { return Step{Text: text, Command: "homeroom " + line} }

// repairTenant returns the command that runs the doctor's repairs for a tenant.
func repairTenant(t catalog.SurveyedTenant) Step {
	return command("Repair it", "doctor --fix --yes --tenant "+t.Database)
}

// repairAll returns the command that runs all repairs of the doctor.
var repairAll = command("Repair it", "doctor --fix --yes")

// repairs reports whether a step is a command that runs the doctor's repair.
func (s Step) repairs() bool {
	return strings.HasPrefix(s.Command, "homeroom doctor --fix") || strings.HasPrefix(s.Command, "homeroom signup resolve")
}
