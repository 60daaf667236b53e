package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// completionScripts make a shell ask `homeroom __complete` for the words that may follow. The line up to the cursor
// is in COMP_LINE and COMP_POINT, as bash defines them.
var completionScripts = map[string]string{
	"bash": "complete -o default -C 'homeroom __complete' homeroom\n",
	"zsh":  "autoload -Uz +X compinit bashcompinit && compinit && bashcompinit\ncomplete -o default -C 'homeroom __complete' homeroom\n",
	"fish": "complete -c homeroom -f -a '(env COMP_LINE=(commandline -cp) homeroom __complete)'\n",
}

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish: write source <(homeroom completion bash) into ~/.bashrc, or homeroom completion fish | source into config.fish."`
}

// Run prints the script of a shell.
func (c completionCommand) Run(p program) error {
	_, err := fmt.Fprint(p.stdout, completionScripts[c.Shell])
	return err
}

type completeCommand struct {
	Words []string `arg:"" optional:"" passthrough:"" help:"The arguments that bash passes: the command, the word, and the word before it."`
}

// Run prints the words that are possible at the cursor, one on each line.
func (completeCommand) Run(p program) error { //nolint:unparam // kong wants one
	line := variableOf(p.environ, "COMP_LINE")
	if point, err := strconv.Atoi(variableOf(p.environ, "COMP_POINT")); err == nil && point >= 0 && point < len(line) {
		line = line[:point]
	}
	words := strings.Fields(line)
	if len(words) == 0 || strings.HasSuffix(line, " ") {
		words = append(words, "")
	}
	parser := newParser(p, func(int) {})
	for _, candidate := range candidates(parser.Model.Node, words[min(1, len(words)-1):]) {
		fmt.Fprintln(p.stdout, candidate)
	}
	return nil
}

// candidates returns the words that are possible in place of the last one.
func candidates(node *kong.Node, words []string) []string {
	last := words[len(words)-1]
	var before *kong.Flag // the flag whose value is being typed
	for _, word := range words[:len(words)-1] {
		before = flagOf(node, word)
		if child := childOf(node, word); child != nil {
			node = child
		}
	}
	var all []string
	switch {
	case before != nil && !before.IsBool():
		all = before.EnumSlice()
	case strings.HasPrefix(last, "-"):
		for _, group := range node.AllFlags(true) {
			for _, flag := range group {
				all = append(all, "--"+flag.Name)
			}
		}
	default:
		for _, child := range node.Children {
			if !child.Hidden {
				all = append(all, child.Name)
			}
		}
		for _, positional := range node.Positional {
			all = append(all, positional.EnumSlice()...)
		}
	}
	all = slices.DeleteFunc(all, func(word string) bool { return word == "" || !strings.HasPrefix(word, last) })
	slices.Sort(all)
	return slices.Compact(all)
}

func childOf(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

func flagOf(node *kong.Node, word string) *kong.Flag {
	for _, group := range node.AllFlags(false) {
		for _, flag := range group {
			if word == "--"+flag.Name || flag.Short != 0 && word == "-"+string(flag.Short) {
				return flag
			}
		}
	}
	return nil
}

// variableOf returns the last value of a variable in an environment.
func variableOf(environ []string, name string) (value string) {
	for _, entry := range environ {
		if text, ok := strings.CutPrefix(entry, name+"="); ok {
			value = text
		}
	}
	return value
}
