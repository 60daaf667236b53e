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
	"strings"

	"homeroom/auth0/auth0test"
)

// simulatorEnv, when set, makes this program the identity provider instead of the benchmark.
const simulatorEnv = "HOMEROOM_BENCH_SIMULATOR"

// simulator is an Auth0 tenant in a process of its own, so that its work does not stop ours for its garbage collections.
// The CPU it shares with all contestants alike.
type simulator struct {
	url                    string
	clientID, clientSecret string
	audience, management   string

	command *exec.Cmd
	stdin   io.Closer
}

// startSimulator runs this program again. The simulator lives as long as its standard input is open: however we end, it
// ends too.
func startSimulator(ctx context.Context) (*simulator, error) {
	if os.Getenv(simulatorEnv) != "" { // a program that does not heed the variable would start itself for ever
		return nil, errors.New("start the Auth0 simulator: this process was to be one")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	command := exec.CommandContext(context.WithoutCancel(ctx), self)
	command.Env = append(os.Environ(), simulatorEnv+"=1")
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the Auth0 simulator: %w", err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the Auth0 simulator: %w", err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the Auth0 simulator: %w", err)
	}
	s := &simulator{command: command, stdin: stdin}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		s.close()
		return nil, fmt.Errorf("start the Auth0 simulator: %w", err)
	}
	fields := strings.Fields(line)
	s.url, s.clientID, s.clientSecret, s.audience, s.management = fields[0], fields[1], fields[2], fields[3], fields[4]
	return s, nil
}

func (s *simulator) close() {
	_ = s.stdin.Close()
	_ = s.command.Wait()
}

// serveSimulator is that other process. It tells what its parent must know in one line.
func serveSimulator(stdin io.Reader, stdout io.Writer) error {
	signal.Ignore(os.Interrupt) // a terminal sends Ctrl-C to both; the parent says when to end
	server, err := auth0test.Listen("127.0.0.1:0", auth0test.Config{})
	if err != nil {
		return err
	}
	defer server.Close()
	cfg := server.Config()
	fmt.Fprintln(stdout, server.URL(), cfg.ClientID, cfg.ClientSecret, cfg.Audience, cfg.ManagementAudience)
	_, _ = io.Copy(io.Discard, stdin)
	return nil
}
