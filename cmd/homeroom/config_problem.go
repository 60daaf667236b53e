package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// problem says what is wrong with a variable, and what to do about it. It never quotes a secret.
type problem struct{ Variable, What string }

// configError lists everything that is wrong with the configuration.
type configError struct{ problems []problem }

// problemsError returns the problems as an error, or nil where there are none.
func problemsError(problems []problem) error {
	if len(problems) == 0 {
		return nil
	}
	problems = slices.Clone(problems)
	slices.SortStableFunc(problems, func(a, b problem) int { return cmp.Compare(a.Variable, b.Variable) })
	return &configError{slices.Compact(problems)}
}

// Error lists the problems, one on each line.
func (e *configError) Error() string {
	var text strings.Builder
	if len(e.problems) == 1 {
		text.WriteString("one setting is wrong:\n")
	} else {
		fmt.Fprintf(&text, "%d settings are wrong:\n", len(e.problems))
	}
	for _, p := range e.problems {
		fmt.Fprintf(&text, "  %s %s\n", p.Variable, p.What)
	}
	text.WriteString("`homeroom help config` explains every variable.")
	return text.String()
}

// quoted returns the beginning of a value, without characters that could control a terminal.
func quoted(value string) string {
	const most = 60
	if letters := []rune(value); len(letters) > most {
		value = string(letters[:most]) + "…"
	}
	return strconv.Quote(value)
}

// listed joins choices to a part of a sentence.
func listed(choices []string) string {
	if len(choices) == 1 {
		return choices[0]
	}
	return strings.Join(choices[:len(choices)-1], ", ") + " or " + choices[len(choices)-1]
}
