package mail

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"os"
	texttemplate "text/template"

	gomail "github.com/wneessen/go-mail"

	"homeroom/catalog"
)

//go:embed templates
var embedded embed.FS

// templates are the two parts of every kind of mail.
type templates map[Kind]struct {
	html *htmltemplate.Template
	text *texttemplate.Template
}

// readTemplates reads the templates of all kinds. A file of the folder replaces the built-in one; a file with the name of a kind,
// such as activation.html, is for that kind only. All are executed once, so that an error is found at the start.
func readTemplates(dir string) (templates, error) {
	own, err := fs.Sub(embedded, "templates")
	if err != nil {
		return nil, fmt.Errorf("open the templates of mails: %w", err)
	}
	folders := []fs.FS{own}
	if dir != "" {
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("open the folder of mails' templates: %w", err)
		}
		folders = []fs.FS{os.DirFS(dir), own}
	}
	all := templates{}
	for _, kind := range Kinds {
		html, err := firstOf(folders, string(kind)+".html", "mail.html")
		if err != nil {
			return nil, err
		}
		text, err := firstOf(folders, string(kind)+".txt", "mail.txt")
		if err != nil {
			return nil, err
		}
		t := all[kind]
		if t.html, err = htmltemplate.New(string(kind)).Parse(html); err != nil {
			return nil, fmt.Errorf("read the HTML template of %s: %w", kind, err)
		}
		if t.text, err = texttemplate.New(string(kind)).Parse(text); err != nil {
			return nil, fmt.Errorf("read the text template of %s: %w", kind, err)
		}
		all[kind] = t
		sample := Page{Kind: string(kind), Paragraphs: []string{"x"}, Notes: []string{"x"}, Button: "x", Link: "https://x.example"}
		if _, _, err := all.parts(sample); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// firstOf reads the first of these files that exists.
func firstOf(folders []fs.FS, names ...string) (string, error) {
	for _, name := range names {
		for _, folder := range folders {
			text, err := fs.ReadFile(folder, name)
			if err == nil {
				return string(text), nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return "", fmt.Errorf("read a template of mails: %w", err)
			}
		}
	}
	return "", fmt.Errorf("there is no template %s", names[len(names)-1])
}

// parts returns a mail's text and HTML.
func (t templates) parts(p Page) (text, html string, err error) {
	var plain, rich bytes.Buffer
	if err := t[Kind(p.Kind)].text.Execute(&plain, p); err != nil {
		return "", "", fmt.Errorf("write the text of a mail: %w", err)
	}
	if err := t[Kind(p.Kind)].html.Execute(&rich, p); err != nil {
		return "", "", fmt.Errorf("write the HTML of a mail: %w", err)
	}
	return plain.String(), rich.String(), nil
}

// Compose returns the message of a mail. The same row and link give the same bytes.
func (s *Service) Compose(ctx context.Context, m catalog.Mail) ([]byte, error) {
	p, err := s.page(ctx, m)
	if err != nil {
		return nil, err
	}
	return s.message(m, p)
}

// message builds the MIME message.
func (s *Service) message(m catalog.Mail, p Page) ([]byte, error) {
	text, html, err := s.templates.parts(p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPermanent, err)
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithBoundary("homeroom-"+m.ID.String()))
	msg.FromMailAddress(&s.from)
	if err := msg.To(m.Recipient); err != nil {
		return nil, fmt.Errorf("%w: its recipient: %w", errPermanent, err)
	}
	if s.replyTo != nil {
		msg.ReplyToMailAddress(s.replyTo)
	}
	msg.Subject(p.Subject)
	msg.SetDateWithValue(m.CreatedAt.UTC())
	msg.SetMessageIDWithValue(m.ID.String() + "@" + domainOf(s.from.Address))
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader("X-Auto-Response-Suppress", "All") // what Exchange uses instead
	msg.SetGenHeader("Content-Language", p.Language)
	msg.SetBodyString(gomail.TypeTextPlain, text)
	msg.AddAlternativeString(gomail.TypeTextHTML, html)
	var written bytes.Buffer
	if _, err := msg.WriteTo(&written); err != nil {
		return nil, fmt.Errorf("%w: %w", errPermanent, err)
	}
	return written.Bytes(), nil
}
