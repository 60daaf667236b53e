package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
)

// childEnv, when set, makes this program one of its own children instead of the benchmark; its value says which.
const childEnv = "HOMEROOM_BENCH_CHILD"

// children are what this program may be instead.
var children = map[string]func(stdin io.Reader, stdout io.Writer) error{
	"simulator": serveSimulator,
	"pools":     servePools,
	"service":   serveService,
}

// child is this program in a process of its own. It lives as long as its standard input is open: however we end, it ends too.
type child struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Reader
}

// startChild runs this program again, with further environment variables.
func startChild(ctx context.Context, name string, environ ...string) (*child, error) {
	if os.Getenv(childEnv) != "" { // a program that does not heed the variable would start itself for ever
		return nil, fmt.Errorf("start %s: this process was to be a child", name)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	command := exec.CommandContext(context.WithoutCancel(ctx), self)
	command.Env = slices.Concat(os.Environ(), environ, []string{childEnv + "=" + name})
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return &child{command, stdin, bufio.NewReader(stdout)}, nil
}

func (c *child) close() error {
	_ = c.stdin.Close()
	return c.command.Wait()
}

// serveChild is that other process.
func serveChild(name string) error {
	signal.Ignore(os.Interrupt) // a terminal sends Ctrl-C to both; the parent says when to end
	serve := children[name]
	if serve == nil {
		return errors.New("there is no such child: " + name)
	}
	return serve(os.Stdin, os.Stdout)
}
