package mail_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"homeroom/catalog"
	"homeroom/internal/secret"
	"homeroom/mail"
)

func TestNamesCannotInjectTextOrLinks(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *mail.Config) { c.Links = links{none: true} })
	for name, school := range map[string]string{
		"a header":                "Lincoln\r\nBcc: eve@evil.example\r\n\r\nHello",
		"a direction":             "Lincoln \u202egnp.exe\u2066",
		"a link":                  "Win at https://evil.example/x or evil.example now",
		"HTML":                    `<a href="https://evil.example">x</a><script>x</script>`,
		"a template":              `{{.Link}}`,
		"far too much":            strings.Repeat("Lincoln ", 10_000),
		"bytes that are not text": "Lincoln\xff\xfe\x00High",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := w.mail.Compose(t.Context(), row(mail.SchoolReady, "en", map[string]any{"schoolName": school, "name": school}))
			if err != nil {
				t.Fatal(err)
			}
			l := parse(t, raw)
			if len(l.header["Bcc"]) > 0 || len(l.header) != 10 {
				t.Errorf("the headers are %v", l.header)
			}
			for _, bad := range []string{"\u202e", "\u2066", "\x00"} {
				if strings.Contains(l.subject+l.text+l.html, bad) {
					t.Errorf("the mail holds %q", bad)
				}
			}
			if strings.Contains(l.html, "<script") || strings.Contains(l.html, "<a ") {
				t.Error("the HTML contains elements of the name")
			}
			if strings.ContainsAny(l.subject, "\r\n") || len(l.subject) > 500 {
				t.Errorf("the subject is %q", l.subject)
			}
			if found := regexp.MustCompile(`evil\.example|://evil`).FindString(l.subject + l.text + l.html); found != "" {
				t.Errorf("a mail program would show a link for %q", found)
			}
			for line := range strings.SplitSeq(string(raw), "\r\n") {
				if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
					t.Errorf("a line is too long, or has a bare line break: %q", line[:min(len(line), 100)])
				}
			}
		})
	}
}

func TestNamesOfAnyScript(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, school := range []string{"東京第一高校", "مدرسة لينكولن", "בית ספר לינקולן", "Školství Žďár", "Σχολείο №1 🏫", "St. Mary's"} {
		raw, err := w.mail.Compose(t.Context(), row(mail.SchoolReady, "en", map[string]any{"schoolName": school}))
		if err != nil {
			t.Fatal(err)
		}
		l := parse(t, raw)
		if l.subject != school+" is ready" || !strings.Contains(l.text, school) {
			t.Errorf("%s: %q, %q", school, l.subject, l.text)
		}
	}
}

// A reader of the catalog or the log must not be able to use a link, or the mail server.
func TestSecretsAreNeitherKeptNorLogged(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *mail.Config) {
		c.URL = secret.String(strings.Replace(c.URL.Reveal(), "smtp://", "smtp://homeroom:canary-password@", 1))
	})
	id := w.activation()
	w.send(id) // the server accepts no logins
	w.wantState(id, catalog.MailQueued)
	other := setup(t)
	sent := other.activation()
	other.send(sent)
	other.wantState(sent, catalog.MailSent)
	for _, w := range []*testEnv{w, other} {
		var rows string
		if err := w.catalog.Pool().QueryRow(t.Context(), `select string_agg(m::text, ' ') from mails m`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		all := rows + w.log.String()
		named := strings.Contains(all, id.String()) || strings.Contains(all, sent.String())
		if !named || strings.Contains(all, "canary") {
			t.Errorf("a secret: %s", all)
		}
		if strings.Contains(w.log.String(), "ada@") {
			t.Errorf("an address in the log: %s", w.log)
		}
	}
}

func TestConfigurationsThatCannotWork(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for name, change := range map[string]func(*mail.Config){
		"no server":             func(c *mail.Config) { c.URL = "" },
		"no URL":                func(c *mail.Config) { c.URL = "mail.lincoln.example:canary" },
		"another protocol":      func(c *mail.Config) { c.URL = "http://canary@mail.lincoln.example" },
		"an unknown wish":       func(c *mail.Config) { c.URL = "smtp://mail.lincoln.example?starttls=maybe" },
		"two kinds of TLS":      func(c *mail.Config) { c.URL = "smtps://mail.lincoln.example?starttls=off" },
		"no sender":             func(c *mail.Config) { c.From = "" },
		"a sender in two lines": func(c *mail.Config) { c.From = "a@lincoln.example\nBcc: eve@evil.example" },
		"no such folder":        func(c *mail.Config) { c.Templates = "testdata/none" },
		"no links":              func(c *mail.Config) { c.Links = nil },
	} {
		cfg := config(w.catalog, w.queue, w.server.URL())
		change(&cfg)
		if _, err := mail.New(cfg); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTemplatesOfTheOperator(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("mail.html", `<html><head></head><body>Ours: {{.Subject}}</body></html>`)
	write("waiting.txt", `Patience. {{.Footer}}`)
	w := setup(t, func(c *mail.Config) { c.Templates, c.Product = dir, "Lincoln" })
	letters := map[mail.Kind]parsedMail{}
	for _, kind := range []mail.Kind{mail.Waiting, mail.Rejected} {
		raw, err := w.mail.Compose(t.Context(), row(kind, "en", nil))
		if err != nil {
			t.Fatal(err)
		}
		letters[kind] = parse(t, raw)
	}
	l := letters[mail.Waiting]
	if !strings.Contains(l.html, "Ours: Your sign-up is being looked at") ||
		l.text != "Patience. Lincoln sent this mail automatically." {
		t.Errorf("%q and %q", l.html, l.text)
	}
	if l := letters[mail.Rejected]; !strings.Contains(l.html, "Ours:") || strings.Contains(l.text, "Patience") {
		t.Errorf("%q and %q", l.html, l.text)
	}
	write("rejected.html", `{{.Sbject}}`)
	if _, err := mail.New(mail.Config{
		Catalog: w.catalog, Queue: w.queue, Links: links{}, URL: secret.String(w.server.URL()), From: "a@lincoln.example", Templates: dir,
	}); err == nil || !strings.Contains(err.Error(), "Sbject") {
		t.Errorf("a mistyped template: %v", err)
	}
}
