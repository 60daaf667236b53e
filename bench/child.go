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

// childEnv, when set, makes this program one of the children; its value is the name of the child.
const childEnv = "HOMEROOM_BENCH_CHILD"

// children are the child programs by name.
var children = map[string]func(stdin io.Reader, stdout io.Writer) error{
	"simulator": serveSimulator,
	"pools":     servePools,
	"service":   serveService,
}

// child is this program as a child process. It ends when its standard input closes, and so with its parent.
type child struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Reader
}

// startChild runs this program again, with further environment variables.
func startChild(ctx context.Context, name string, environ ...string) (*child, error) {
	if os.Getenv(childEnv) != "" { // prevents an endless chain of children
		return nil, fmt.Errorf("start %s: this process is a child already", name)
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

// serveChild runs a child.
func serveChild(name string) error {
	signal.Ignore(os.Interrupt) // a terminal sends Ctrl-C to both; the parent ends the child
	serve := children[name]
	if serve == nil {
		return errors.New("there is no such child: " + name)
	}
	return serve(os.Stdin, os.Stdout)
}
