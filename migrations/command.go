package migrations

import "strings"

// kind is what a "no-transaction" statement does, as far as it matters after an interruption.
type kind int

const (
	otherKind  kind = iota // its effect cannot be determined
	repeatable             // it may run twice, and leaves nothing incomplete
	createIndex
	dropIndex
	reindexIndex
	reindexTable
	reindexSchema
	reindexDatabase
	addValue
)

// command is a parsed "no-transaction" statement. Names are as written, quotes included.
type command struct {
	kind  kind
	name  string // of the index, of the type, or of what is reindexed; empty for an index that Postgres names
	table string // of a new index
	label string // of a new enum value
}

// commandOf recognises the single statement of a "no-transaction" file.
func commandOf(parts script) command {
	if len(parts.statements) != 1 {
		return command{}
	}
	t := tokens(parts.statements[0].tokens)
	switch {
	case t.take("CREATE", "INDEX", "CONCURRENTLY"), t.take("CREATE", "UNIQUE", "INDEX", "CONCURRENTLY"):
		return t.createIndex()
	case t.take("DROP", "INDEX", "CONCURRENTLY"):
		return t.dropIndex()
	case t.take("REINDEX"):
		return t.reindex()
	case t.take("ALTER", "TYPE"):
		return t.addValue()
	case t.take("VACUUM"), t.take("ANALYZE"), t.take("ANALYSE"), t.take("CLUSTER"), t.take("REFRESH", "MATERIALIZED", "VIEW"):
		return command{kind: repeatable}
	}
	return command{}
}

// tokens are the rest of a statement.
type tokens []string

// take consumes these words if they come next.
func (t *tokens) take(words ...string) bool {
	if len(*t) < len(words) {
		return false
	}
	for i, word := range words {
		if !strings.EqualFold((*t)[i], word) {
			return false
		}
	}
	*t = (*t)[len(words):]
	return true
}

// identifier consumes one name, quoted or not.
func (t *tokens) identifier() string {
	if len(*t) == 0 {
		return ""
	}
	first := (*t)[0]
	if c := first[0]; c != '"' && (!wordByte(c) || digit(c) || c == '$' || strings.HasSuffix(first, "'")) {
		return ""
	}
	*t = (*t)[1:]
	return first
}

// name consumes a name, with its schema if it has one.
func (t *tokens) name() string {
	name := t.identifier()
	for name != "" && t.take(".") {
		part := t.identifier()
		if part == "" {
			return ""
		}
		name += "." + part
	}
	return name
}

func (t *tokens) createIndex() command {
	c := command{kind: createIndex}
	t.take("IF", "NOT", "EXISTS")
	if !t.take("ON") {
		if c.name = t.identifier(); c.name == "" || !t.take("ON") {
			return command{}
		}
	}
	t.take("ONLY")
	if c.table = t.name(); c.table == "" || !t.take("(") && !t.take("USING") {
		return command{}
	}
	return c
}

func (t *tokens) dropIndex() command {
	t.take("IF", "EXISTS")
	name := t.name()
	t.take("RESTRICT")
	if name == "" || len(*t) > 0 {
		return command{}
	}
	return command{kind: dropIndex, name: name}
}

func (t *tokens) reindex() command {
	if t.take("(") {
		for len(*t) > 0 && !t.take(")") {
			*t = (*t)[1:]
		}
	}
	var c command
	switch {
	case t.take("INDEX"):
		c.kind = reindexIndex
	case t.take("TABLE"):
		c.kind = reindexTable
	case t.take("SCHEMA"):
		c.kind = reindexSchema
	case t.take("DATABASE"), t.take("SYSTEM"):
		c.kind = reindexDatabase
	}
	t.take("CONCURRENTLY")
	c.name = t.name()
	if len(*t) > 0 || c.name == "" && c.kind != reindexDatabase {
		return command{}
	}
	return c
}

func (t *tokens) addValue() command {
	c := command{kind: addValue, name: t.name()}
	if c.name == "" || !t.take("ADD", "VALUE") {
		return command{}
	}
	t.take("IF", "NOT", "EXISTS")
	if len(*t) == 0 || !strings.HasSuffix((*t)[0], "'") {
		return command{}
	}
	c.label, *t = (*t)[0], (*t)[1:]
	if len(*t) > 0 && !t.take("BEFORE") && !t.take("AFTER") {
		return command{}
	}
	return c
}
