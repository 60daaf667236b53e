package mail_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"homeroom/catalog"
	"homeroom/internal/npmtest"
	"homeroom/internal/secret"
	"homeroom/mail"
)

// smtpServer is the version of nodemailer's server that these tests use.
const smtpServer = "3.21.6"

const (
	user     = "homeroom@lincoln.example"
	password = "canary-p4$$w:rd/?#"
)

// nodemailer is a running server; next waits for its next message.
type nodemailer struct {
	port  int
	trust *tls.Config
	next  func(into any)
}

func startNodemailer(t *testing.T, secure bool) nodemailer {
	t.Helper()
	key, cert, trust := npmtest.Certificate(t)
	input, err := json.Marshal(map[string]any{"key": string(key), "cert": string(cert), "user": user, "pass": password, "secure": secure})
	if err != nil {
		t.Fatal(err)
	}
	process := exec.CommandContext(t.Context(), "node", "testdata/smtp-server.cjs", npmtest.Install(t, "smtp-server@"+smtpServer))
	process.Stdin = strings.NewReader(string(input) + "\n")
	process.Stderr = os.Stderr
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	lines := bufio.NewReader(out)
	n := nodemailer{trust: trust, next: func(into any) {
		t.Helper()
		line, err := lines.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}}
	var started struct{ Port int }
	n.next(&started)
	n.port = started.Port
	return n
}

func TestNodemailersServer(t *testing.T) {
	t.Parallel()
	login := strings.NewReplacer("@", "%40").Replace(user) + ":canary-p4%24%24w%3Ard%2F%3F%23@"
	type taken struct {
		Raw, User, From, Method string
		TLS                     bool
		To                      []string
	}
	for name, c := range map[string]struct {
		secure bool
		url    string
		trust  bool
		want   catalog.MailState
		texts  string
	}{
		"accepts a mail after STARTTLS and a login": {false, "smtp://" + login + "localhost:PORT?starttls=required", true, catalog.MailSent, ""},
		"accepts a mail over TLS from the start":    {true, "smtps://" + login + "localhost:PORT", true, catalog.MailSent, ""},
		"is not trusted with an unknown certificate": {
			false, "smtp://" + login + "localhost:PORT?starttls=required", false, catalog.MailQueued, "certificate",
		},
		"refuses a wrong password, which may be corrected": {
			false, "smtp://someone:canary-wrong@localhost:PORT?starttls=required", true, catalog.MailQueued, "refuses our login (535)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startNodemailer(t, c.secure)
			w := setup(t, func(cfg *mail.Config) {
				cfg.URL = secret.String(strings.Replace(c.url, "PORT", strconv.Itoa(server.port), 1))
				if c.trust {
					cfg.TLS = server.trust
				}
			})
			id := w.activation()
			w.send(id)
			m := w.wantState(id, c.want)
			if c.want != catalog.MailSent {
				if !strings.Contains(*m.Problem, c.texts) || strings.Contains(*m.Problem+w.log.String(), "canary") {
					t.Errorf("the problem is %q, the log %s", *m.Problem, w.log)
				}
				return
			}
			var got taken
			server.next(&got)
			if !got.TLS || got.User != user || got.From != "no-reply@lincoln.example" || got.To[0] != "ada@lincoln.example" {
				t.Errorf("it took %+v", got)
			}
			if letter := parse(t, []byte(got.Raw)); !strings.Contains(letter.text, token) {
				t.Errorf("the text is %q", letter.text)
			}
		})
	}
}
