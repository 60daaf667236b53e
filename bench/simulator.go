package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"homeroom/auth0/auth0test"
)

// simulator is an Auth0 tenant in a process of its own, so that its garbage collections do not stop this process.
// It shares the CPU with all variants.
type simulator struct {
	*child
	url                    string
	clientID, clientSecret string
	audience, management   string
}

func startSimulator(ctx context.Context) (*simulator, error) {
	process, err := startChild(ctx, "simulator")
	if err != nil {
		return nil, err
	}
	s := &simulator{child: process}
	line, err := process.stdout.ReadString('\n')
	if err != nil {
		_ = s.close()
		return nil, fmt.Errorf("start the Auth0 simulator: %w", err)
	}
	fields := strings.Fields(line)
	s.url, s.clientID, s.clientSecret, s.audience, s.management = fields[0], fields[1], fields[2], fields[3], fields[4]
	return s, nil
}

// serveSimulator prints its address and credentials in one line for its parent.
func serveSimulator(stdin io.Reader, stdout io.Writer) error {
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
