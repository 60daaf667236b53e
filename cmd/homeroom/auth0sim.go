//go:build dev

package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strings"

	"homeroom/auth0/auth0test"
)

type auth0simCommand struct {
	Addr string `default:"127.0.0.1:8090" help:"The address that it listens at."`
	URL  string `help:"Its URL for callers, which is the issuer of the tokens. Defaults to http://ADDR." placeholder:"URL"`
}

// Run runs the simulator until ctx ends.
func (c auth0simCommand) Run(ctx context.Context, p program) error {
	from, wrong := readEnvironment(p.environ)
	if err := problemsError(wrong); err != nil {
		return err
	}
	vars := from.values
	base := strings.TrimRight(cmp.Or(c.URL, cmp.Or(vars["AUTH0_BASE_URL"], "http://"+c.Addr)), "/")
	cfg := auth0test.Config{
		BaseURL: base, ClientID: cmp.Or(vars["AUTH0_CLIENT_ID"], "homeroom-dev"),
		ClientSecret: cmp.Or(vars["AUTH0_CLIENT_SECRET"], "homeroom-dev-secret"),
		Audience:     cmp.Or(vars["AUTH0_AUDIENCE"], "https://api.homeroom.test"), ManagementAudience: vars["AUTH0_MANAGEMENT_AUDIENCE"],
	}
	web := auth0test.DefaultApplication()
	web.ClientID, web.Secret = cmp.Or(vars["HOMEROOM_HOSTED_CLIENT_ID"], web.ClientID), cmp.Or(vars["HOMEROOM_HOSTED_CLIENT_SECRET"], web.Secret)
	if callback := vars["HOMEROOM_HOSTED_REDIRECT_URL"]; callback != "" {
		web.Callbacks = []string{callback}
	}
	cfg.Applications = []auth0test.Application{web}
	simulator, err := auth0test.New(cfg)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Fprintf(p.stdout, "The Auth0 simulator is for development only: everybody who can reach it can get any token.\n\n"+
		"export AUTH0_BASE_URL=%s\nexport AUTH0_CLIENT_ID=%s\nexport AUTH0_CLIENT_SECRET=%s\nexport AUTH0_AUDIENCE=%s\n"+
		"export HOMEROOM_HOSTED_CLIENT_ID=%s\nexport HOMEROOM_HOSTED_CLIENT_SECRET=%s\nexport HOMEROOM_HOSTED_REDIRECT_URL=%s\n",
		base, cfg.ClientID, cfg.ClientSecret, cfg.Audience, web.ClientID, web.Secret, web.Callbacks[0])
	return serveUntil(ctx, listener, simulator)
}
