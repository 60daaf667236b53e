package migrations

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// noTransaction is the first line of a file whose one statement must run outside a transaction.
const noTransaction = "-- no-transaction"

// script is the text of a migration, split into statements.
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

// keptTokens is how many tokens of a statement are kept: enough to know what it does to which object.
const keptTokens = 32

// lineError is an error in a script. Its text starts with the line, to follow a file's name and a colon.
type lineError struct {
	line    int
	message string
}

func (e *lineError) Error() string { return fmt.Sprintf("%d: %s", e.line, e.message) }

// parse finds the statements of a script. It refuses a script that would end the migration's transaction, or hide the
// SQL that follows it: transaction commands, and quotes or comments that do not end.
func parse(text string) (script, error) {
	first, _, _ := strings.Cut(text, "\n")
	p := parser{text: text, marked: strings.TrimSpace(first) == noTransaction}
	for p.at < len(text) {
		if err := p.next(); err != nil {
			return script{}, err
		}
	}
	if err := p.finish(); err != nil {
		return script{}, err
	}
	parts := script{text: text, statements: p.found, transactional: !p.marked}
	if !parts.transactional && len(parts.statements) != 1 {
		return script{}, &lineError{1, fmt.Sprintf("%q needs exactly one statement in the file, not %d: only one can fail without "+
			"leaving others applied", noTransaction, len(parts.statements))}
	}
	return parts, nil
}

// parser knows as much of Postgres's lexical rules as psql does, to find the end of a statement.
type parser struct {
	text   string
	at     int
	found  []statement
	marked bool // whether the first line is [noTransaction]

	open   bool     // whether a statement has begun
	start  int      // where it began
	tokens []string // its first tokens, without comments
	words  []string // its first words, upper case
	last   string   // its latest token, upper case
	parens int
	body   bool  // whether it is inside BEGIN ATOMIC … END
	cases  []int // the CASE … END that are open in there, by the parentheses around them
}

// next consumes one token.
func (p *parser) next() error {
	rest := p.text[p.at:]
	c := rest[0]
	switch {
	case strings.HasPrefix(rest, "--"):
		return p.lineComment(rest[:lengthTo(rest, "\n")])
	case strings.HasPrefix(rest, "/*"):
		return p.comment()
	case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
		p.at++
		return nil
	case c == ';' && p.parens == 0 && !p.body:
		err := p.finish()
		p.at++
		return err
	}
	if !p.open {
		p.open, p.start = true, p.at
	}
	from := p.at
	err := p.token(c)
	token := p.text[from:min(p.at, len(p.text))]
	if len(p.tokens) < keptTokens {
		p.tokens = append(p.tokens, token)
	}
	p.last = strings.ToUpper(token)
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
	p.open, p.tokens, p.words, p.last, p.parens, p.body, p.cases = false, nil, nil, "", 0, false, nil
	return nil
}

func (p *parser) fault(at int, message string) error {
	return &lineError{lineAt(p.text, at), message}
}

// misplaced matches a comment that looks like [noTransaction] and is not valid: before the first statement also one
// with more text in it. It would have no effect, and its statement would fail.
var misplaced = map[bool]*regexp.Regexp{
	true:  regexp.MustCompile(`(?i)^--+\s*no-transaction\b`),
	false: regexp.MustCompile(`(?i)^--+\s*no-transaction\s*$`),
}

// lineComment skips a comment to the end of its line.
func (p *parser) lineComment(comment string) error {
	if first := !p.open && len(p.found) == 0; !p.marked && misplaced[first].MatchString(comment) {
		return p.fault(p.at, fmt.Sprintf("%q counts only as the whole first line of a file: move it there, without anything else in that line", noTransaction))
	}
	p.at += len(comment)
	return nil
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
	return p.fault(from, "this comment does not end")
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
	return p.fault(from, "this quote does not end")
}

// dollar skips a $tag$…$tag$ string, or a single dollar sign.
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
		return p.fault(from, "this "+tag+" quote does not end")
	}
	p.at = end + 1 + length + len(tag)
	return nil
}

// word records a word, and the blocks whose semicolons do not end the statement.
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
	case p.body:
		p.bodyWord(word)
	case word == "ATOMIC" && p.last == "BEGIN" && p.parens == 0 && createsRoutine(p.words):
		p.body = true
	case word == "STDIN" && p.last == "FROM" && p.words[0] == "COPY":
		return p.fault(p.start, "COPY … FROM STDIN cannot run here: write INSERT (pg_dump --inserts does)")
	}
	return nil
}

// bodyWord records a word of a BEGIN ATOMIC body. END ends a CASE, or the body where a statement could begin.
// Anywhere else END and CASE are names of columns, which Postgres accepts without quotes after AS, after a dot, and
// as the last word of a column.
func (p *parser) bodyWord(word string) {
	label := p.last == "AS" || p.last == "."
	innermost := len(p.cases) - 1
	switch {
	case label || word != "CASE" && word != "END":
	case word == "CASE" && !afterLabel.MatchString(p.text[p.at:]):
		p.cases = append(p.cases, p.parens)
	case word == "END" && innermost >= 0 && p.cases[innermost] == p.parens:
		p.cases = p.cases[:innermost]
	case word == "END" && (p.last == ";" || p.last == "ATOMIC"):
		p.body = false
	}
}

// afterLabel matches what can follow the name of a column, and cannot follow CASE.
var afterLabel = regexp.MustCompile(`^(?i)(\s|--.*\n|/\*(?s:.*?)\*/)*([,;)]|$|(FROM|INTO|WHERE|GROUP|HAVING|WINDOW|ORDER|LIMIT|OFFSET|FETCH|FOR|UNION|INTERSECT|EXCEPT)\b)`)

// createsRoutine reports whether a statement may have a BEGIN ATOMIC body.
func createsRoutine(words []string) bool {
	return words[0] == "CREATE" && (slices.Contains(words, "FUNCTION") || slices.Contains(words, "PROCEDURE"))
}

// transactionCommand returns the command of a statement that would begin or end a transaction. Savepoints do neither.
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

// lengthTo returns the position of mark in text, or the length of text.
func lengthTo(text, mark string) int {
	if i := strings.Index(text, mark); i >= 0 {
		return i
	}
	return len(text)
}

// lineAt returns the line, from 1, of a position in text.
func lineAt(text string, at int) int { return strings.Count(text[:at], "\n") + 1 }
