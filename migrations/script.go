package migrations

import (
	"fmt"
	"slices"
	"strings"
)

// noTransaction is the first line of a file whose one statement must run outside a transaction.
const noTransaction = "-- no-transaction"

// script is the text of a migration, cut into its statements.
type script struct {
	text          string
	statements    []statement
	transactional bool
}

// statement is a part of a script, from its first character to before its semicolon, with its first tokens as written.
type statement struct {
	start, end int
	tokens     []string
}

// keptTokens is how many tokens of a statement are kept: enough to tell what it does to what.
const keptTokens = 32

// lineError is a fault in a script. Its text starts with the line, to follow a file's name and a colon.
type lineError struct {
	line    int
	message string
}

func (e *lineError) Error() string { return fmt.Sprintf("%d: %s", e.line, e.message) }

// parse finds the statements of a script. It refuses one that would end our transaction, or swallow what we put behind
// it: own transaction commands, and quotes or comments that never end.
func parse(text string) (script, error) {
	p := parser{text: text}
	for p.at < len(text) {
		if err := p.next(); err != nil {
			return script{}, err
		}
	}
	if err := p.finish(); err != nil {
		return script{}, err
	}
	first, _, _ := strings.Cut(text, "\n")
	parts := script{text: text, statements: p.found, transactional: strings.TrimSpace(first) != noTransaction}
	if !parts.transactional && len(parts.statements) != 1 {
		return script{}, &lineError{1, fmt.Sprintf("%q needs exactly one statement in the file, not %d: only one can fail without "+
			"leaving others applied", noTransaction, len(parts.statements))}
	}
	return parts, nil
}

// parser knows as much of Postgres's lexical rules as psql does to find the end of a statement.
type parser struct {
	text  string
	at    int
	found []statement

	open   bool     // whether a statement has begun
	start  int      // where it began
	tokens []string // its first tokens, without comments
	words  []string // its first words, upper case
	last   string   // its latest word
	parens int
	begins int // depth of BEGIN ATOMIC … END and the CASE … END in it
}

// next consumes one token.
func (p *parser) next() error {
	rest := p.text[p.at:]
	c := rest[0]
	switch {
	case strings.HasPrefix(rest, "--"):
		p.at += lengthTo(rest, "\n")
		return nil
	case strings.HasPrefix(rest, "/*"):
		return p.comment()
	case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
		p.at++
		return nil
	case c == ';' && p.parens == 0 && p.begins == 0:
		err := p.finish()
		p.at++
		return err
	}
	if !p.open {
		p.open, p.start = true, p.at
	}
	from := p.at
	err := p.token(c)
	if len(p.tokens) < keptTokens {
		p.tokens = append(p.tokens, p.text[from:min(p.at, len(p.text))])
	}
	return err
}

// token consumes one token of a statement, which starts with c.
func (p *parser) token(c byte) error {
	switch {
	case c == '\\':
		return p.fault(p.at, "psql's backslash commands cannot run here")
	case c == '\'' || c == '"':
		return p.quoted(c, false)
	case c == '$':
		return p.dollar()
	case wordByte(c) && !digit(c):
		return p.word()
	case c == '(':
		p.parens++
	case c == ')':
		p.parens = max(p.parens-1, 0)
	}
	p.at++
	return nil
}

// finish ends the current statement, if there is one.
func (p *parser) finish() error {
	if !p.open {
		return nil
	}
	if command := transactionCommand(p.words); command != "" {
		return p.fault(p.start, command+" is not allowed: each file already runs in a transaction of its own "+
			"(see \""+noTransaction+"\" for a statement that cannot)")
	}
	p.found = append(p.found, statement{p.start, p.at, p.tokens})
	p.open, p.tokens, p.words, p.last, p.parens, p.begins = false, nil, nil, "", 0, 0
	return nil
}

func (p *parser) fault(at int, message string) error {
	return &lineError{lineAt(p.text, at), message}
}

// comment skips a block comment; they nest.
func (p *parser) comment() error {
	from, depth := p.at, 0
	for p.at < len(p.text) {
		switch rest := p.text[p.at:]; {
		case strings.HasPrefix(rest, "/*"):
			depth++
			p.at += 2
		case strings.HasPrefix(rest, "*/"):
			depth--
			p.at += 2
		default:
			p.at++
		}
		if depth == 0 {
			return nil
		}
	}
	return p.fault(from, "this comment never ends")
}

// quoted skips a string or a quoted name. A doubled quote is part of it.
func (p *parser) quoted(quote byte, backslash bool) error {
	from := p.at
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '\\' && backslash:
			p.at++
		case c == quote && strings.HasPrefix(p.text[p.at+1:], string(quote)):
			p.at++
		case c == quote:
			p.at++
			return nil
		}
	}
	return p.fault(from, "this quote never ends")
}

// dollar skips a $tag$…$tag$ string, or a lone dollar sign.
func (p *parser) dollar() error {
	from := p.at
	end := from + 1
	for end < len(p.text) && wordByte(p.text[end]) && p.text[end] != '$' {
		end++
	}
	if end >= len(p.text) || p.text[end] != '$' || digit(p.text[from+1]) {
		p.at++
		return nil
	}
	tag := p.text[from : end+1]
	length := strings.Index(p.text[end+1:], tag)
	if length < 0 {
		return p.fault(from, "this "+tag+" quote never ends")
	}
	p.at = end + 1 + length + len(tag)
	return nil
}

// word notes a word, and with it the blocks whose semicolons do not end the statement.
func (p *parser) word() error {
	from := p.at
	for p.at < len(p.text) && wordByte(p.text[p.at]) {
		p.at++
	}
	word := strings.ToUpper(p.text[from:p.at])
	if word == "E" && strings.HasPrefix(p.text[p.at:], "'") {
		return p.quoted('\'', true)
	}
	if len(p.words) < 4 {
		p.words = append(p.words, word)
	}
	switch {
	case word == "BEGIN" && p.parens == 0 && createsRoutine(p.words), word == "CASE" && p.begins > 0:
		p.begins++
	case word == "END" && p.begins > 0:
		p.begins--
	case word == "STDIN" && p.last == "FROM" && p.words[0] == "COPY":
		return p.fault(p.start, "COPY … FROM STDIN cannot run here: write INSERT (pg_dump --inserts does)")
	}
	p.last = word
	return nil
}

// createsRoutine tells whether a statement is one that may have a BEGIN ATOMIC body.
func createsRoutine(words []string) bool {
	return words[0] == "CREATE" && (slices.Contains(words, "FUNCTION") || slices.Contains(words, "PROCEDURE"))
}

// transactionCommand returns the command when the statement would begin or end a transaction. Savepoints do neither.
func transactionCommand(words []string) string {
	if len(words) == 0 {
		return ""
	}
	switch words[0] {
	case "BEGIN", "COMMIT", "END", "ABORT":
		return words[0]
	case "ROLLBACK":
		if !slices.Contains(words, "TO") {
			return words[0]
		}
	case "START", "PREPARE":
		if len(words) > 1 && words[1] == "TRANSACTION" {
			return words[0] + " TRANSACTION"
		}
	}
	return ""
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func wordByte(c byte) bool {
	return c == '_' || c == '$' || digit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// lengthTo is how far mark is in text, or all of text.
func lengthTo(text, mark string) int {
	if i := strings.Index(text, mark); i >= 0 {
		return i
	}
	return len(text)
}

// lineAt is the line, from 1, of a place in text.
func lineAt(text string, at int) int { return strings.Count(text[:at], "\n") + 1 }
