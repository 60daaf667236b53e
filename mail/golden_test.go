package mail_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/mail"
)

var update = flag.Bool("update", false, "update the mails in testdata/golden")

// parsedMail is a mail as a mail program parses it.
type parsedMail struct {
	header        netmail.Header
	subject       string
	text, html    string
	contentsOrder []string
}

// parse parses a mail without our own code.
func parse(t *testing.T, raw []byte) parsedMail {
	t.Helper()
	message, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	l := parsedMail{header: message.Header}
	if l.subject, err = new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("the mail is %s: %v", kind, err)
	}
	for parts := multipart.NewReader(message.Body, params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return l
		}
		if err != nil {
			t.Fatal(err)
		}
		if encoding := part.Header.Get("Content-Transfer-Encoding"); encoding != "quoted-printable" {
			t.Fatalf("a part has the encoding %s", encoding)
		}
		content, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		kind := part.Header.Get("Content-Type")
		l.contentsOrder = append(l.contentsOrder, kind)
		if strings.HasPrefix(kind, "text/html") {
			l.html = string(content)
		} else {
			l.text = strings.ReplaceAll(string(content), "\r\n", "\n")
		}
	}
}

var (
	goldenID     = uuid.MustParse("0199c1b0-7d2e-4aa0-b9a1-0f6f3c1e2d4b")
	goldenSignup = uuid.MustParse("8c1f0000-0000-4000-8000-000000000001")
	goldenInvite = uuid.MustParse("1a2b0000-0000-4000-8000-000000000002")
	goldenTime   = time.Date(2026, 11, 21, 16, 47, 0, 0, time.UTC)
)

// row returns the mail of a kind, always the same.
func row(kind mail.Kind, locale string, content map[string]any) catalog.Mail {
	data, err := json.Marshal(content)
	if err != nil {
		panic(err) // only strings and times
	}
	return catalog.Mail{
		ID: goldenID, Kind: string(kind), SignupID: &goldenSignup, Recipient: "ada@lincoln.example", Locale: locale, Data: data,
		CreatedAt: goldenTime, ReadAt: goldenTime,
	}
}

// samples are the contents of the mails, by kind.
var samples = map[mail.Kind]map[string]any{
	mail.Activation:        {"expiresAt": goldenTime.Add(24 * time.Hour)},
	mail.ActivationResent:  {"expiresAt": goldenTime.Add(24 * time.Hour)},
	mail.AlreadyRegistered: {},
	mail.Invitation: {
		"schoolName": "Größe-Schule St. Ada", "role": "admin", "invitedBy": "Grace Hopper", "invitationId": goldenInvite,
		"expiresAt": goldenTime.Add(7 * 24 * time.Hour),
	},
	mail.SchoolReady: {"name": "Ada", "schoolName": "学校 Lincoln & Söhne", "slug": "xue-xiao-lincoln"},
	mail.Waiting:     {},
	mail.Rejected:    {},
	mail.SetPassword: {"name": "Ada"},
}

func TestMailsInEveryLanguage(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *mail.Config) { c.ReplyTo = "Help <help@schüle.example>" })
	if len(samples) != len(mail.Kinds) {
		t.Fatal("a kind has no sample")
	}
	address := regexp.MustCompile(`https?://[^\s"<]+`)
	for _, kind := range mail.Kinds {
		for _, locale := range []string{"en", "de", "fr", "es"} {
			t.Run(fmt.Sprintf("%s in %s", kind, locale), func(t *testing.T) {
				raw, err := w.mail.Compose(t.Context(), row(kind, locale, samples[kind]))
				if err != nil {
					t.Fatal(err)
				}
				golden(t, fmt.Sprintf("%s.%s.eml", kind, locale), raw)
				l := parse(t, raw)
				for name, want := range map[string]string{
					"From": `"Homeroom" <no-reply@lincoln.example>`, "To": "<ada@lincoln.example>", "Reply-To": `"Help" <help@xn--schle-mva.example>`,
					"Message-Id": "<" + goldenID.String() + "@lincoln.example>", "Auto-Submitted": "auto-generated", "Content-Language": locale,
					"Date": "Sat, 21 Nov 2026 16:47:00 +0000", "User-Agent": "", "X-Mailer": "",
				} {
					if got := l.header.Get(name); got != want {
						t.Errorf("%s is %q, not %q", name, got, want)
					}
				}
				if len(l.contentsOrder) != 2 || !strings.HasPrefix(l.contentsOrder[0], "text/plain") {
					t.Errorf("the parts are %v: programs show the last one that they support", l.contentsOrder)
				}
				if !strings.Contains(l.html, `lang="`+locale+`"`) || !strings.Contains(l.html, "prefers-color-scheme: dark") {
					t.Error("the HTML has no language, or no dark colour scheme")
				}
				for _, never := range []string{"<no value>", "<img", "<script", "<link", "@import", "url(", "ZgotmplZ"} {
					if strings.Contains(l.text+l.html, never) {
						t.Errorf("the mail holds %q", never)
					}
				}
				if id := regexp.MustCompile(`\bmail\.[a-z_]+\.?[a-z_]`).FindString(l.text + l.html); id != "" {
					t.Errorf("the text %s is missing", id)
				}
				links := append(address.FindAllString(l.text, -1), address.FindAllString(l.html, -1)...)
				want := 4 // in the text, behind the button, and twice to copy
				if kind == mail.Waiting || kind == mail.Rejected {
					want = 0
				}
				for _, link := range links {
					if !strings.HasPrefix(link, "https://lincoln.example/") || !strings.HasSuffix(link, "?token="+token) {
						t.Errorf("a link points to %s", link)
					}
				}
				if len(links) != want {
					t.Errorf("the links are %v", links)
				}
			})
		}
	}
}

// golden compares a mail with the one in the file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	got = bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n"))
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the mail is not that of %s; if it is meant to be, go test ./mail -update writes it:\n%s", path, got)
	}
}
