//go:build dev

package main

import (
	"fmt"
	"io"

	"homeroom/internal/devpg"
	"homeroom/internal/display"
)

// welcome prints how to use what is running, within 80 columns and fewer than 24 lines.
func welcome(w io.Writer, addr string, cfg config, postgres *devpg.Server, log, me string) {
	bold, plain := "", ""
	w = display.Unwrap(w)
	if terminal(w) != nil {
		bold, plain = "\x1b[1m", "\x1b[0m"
	}
	fmt.Fprintf(w, `
%[1]sHomeroom is running.%[2]s  Ctrl-C stops it, and everything that it has started.

  API        http://%[3]s           documentation: /docs
  Sign up    http://%[3]s/          mails: /dev/mailbox
  Simulator  %[4]s  of Auth0
  Postgres   127.0.0.1:%[6]d  version %[5]s
  Log        %[7]s

%[1]sSign a school up, open its database, and call the API as an operator:%[2]s

  curl -i http://%[3]s/users -H 'Content-Type: application/json' -d '
    {"email":"ada@lincoln.example","password":"Correct-Horse-9",
     "schoolName":"Lincoln High"}'
  %[8]s tenant psql lincoln-high
  TOKEN=$(%[8]s token --permissions read:tenants)
  curl -s http://%[3]s/tenants -H "Authorization: Bearer $TOKEN"

`, bold, plain, addr, cfg.Auth0BaseURL, postgres.Version(), postgres.Port(), log, me)
}
