package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/messages"
)

// Page is the data of a template: plain texts in the person's language.
type Page struct {
	// Kind is the mail's kind, Language its language as a BCP 47 tag.
	Kind, Language string
	Product        string
	// Subject is for the header; Heading says the same in the mail itself.
	Subject, Heading string
	Greeting         string
	// Paragraphs come before the button, Notes after it.
	Paragraphs, Notes []string
	// Button and Link are empty if there is no link. Copy introduces the link as text.
	Button, Link, Copy string
	Footer             string
}

// errPermanent marks an error that a retry cannot repair.
var errPermanent = errors.New("the mail cannot be composed")

// page returns the texts of a mail.
func (s *Service) page(ctx context.Context, m catalog.Mail) (Page, error) {
	var content mailContent
	if err := json.Unmarshal(m.Data, &content); err != nil {
		return Page{}, fmt.Errorf("%w: its data: %w", errPermanent, err)
	}
	if content.ExpiresAt != nil && content.ExpiresAt.Before(m.ReadAt) {
		return Page{}, fmt.Errorf("%w: it has expired", errPermanent)
	}
	texts := s.cfg.Texts.For(m.Locale)
	link, err := s.link(ctx, m, content)
	if err != nil {
		return Page{}, err
	}
	w := words{texts: texts, kind: m.Kind, data: map[string]any{
		"Product": s.cfg.Product, "Name": preventAutolink(content.Name), "SchoolName": preventAutolink(content.SchoolName), "Slug": content.Slug,
		"InvitedBy": preventAutolink(content.InvitedBy), "Role": texts.Text("role."+content.Role, nil),
	}}
	p := Page{
		Kind: m.Kind, Language: texts.Tag(), Product: s.cfg.Product, Greeting: w.text("mail.greeting"),
		Footer: w.text("mail.footer"), Link: link,
	}
	if content.Name != "" {
		p.Greeting = w.text("mail.greeting_name")
	}
	w.fill(&p, content, s.replyTo != nil)
	p.Heading = w.kindText("subject")
	p.Subject = oneLine(p.Heading)
	return p, nil
}

// words selects the texts of a mail.
type words struct {
	texts messages.Localizer
	kind  string
	data  map[string]any
	// variant is a suffix of the texts' ids for a special case.
	variant string
}

func (w words) text(id string) string { return w.texts.Text(id, w.data) }

// kindText returns a text of the mail's kind, in the variant if there is one.
func (w words) kindText(part string) string {
	if text, ok := w.texts.Lookup("mail."+w.kind+"."+part+w.variant, w.data); ok {
		return text
	}
	text, _ := w.texts.Lookup("mail."+w.kind+"."+part, w.data)
	return text
}

// fill sets the parts that depend on the kind.
func (w *words) fill(p *Page, content mailContent, answers bool) {
	switch {
	case Kind(w.kind) == Invitation && content.SchoolName == "":
		w.variant = "_school"
	case Kind(w.kind) == SchoolReady && content.SchoolName == "": // the e-mail is not confirmed
		w.variant = "_unnamed"
	}
	p.Paragraphs = []string{w.kindText("text")}
	if content.InvitedBy != "" {
		p.Paragraphs = append(p.Paragraphs, w.kindText("by"))
	}
	if content.Slug != "" {
		p.Paragraphs = append(p.Paragraphs, w.kindText("slug"))
	}
	if p.Link != "" {
		p.Button, p.Copy = w.kindText("button"), w.text("mail.copy")
		if content.ExpiresAt != nil {
			w.data["Moment"] = w.texts.FormatTime(*content.ExpiresAt)
			p.Notes = append(p.Notes, w.text("mail.expires"))
		}
	}
	if note := w.kindText("note"); note != "" {
		p.Notes = append(p.Notes, note)
	}
	if reply := w.kindText("reply"); answers && reply != "" {
		p.Notes = append(p.Notes, reply)
	}
}

// link creates the link of a mail.
func (s *Service) link(ctx context.Context, m catalog.Mail, content mailContent) (string, error) {
	need := func(id *uuid.UUID, link func(uuid.UUID) string) (string, error) {
		if id != nil {
			if made := link(*id); made != "" {
				return made, nil
			}
		}
		return "", fmt.Errorf("%w: it needs a link, and there is none", errPermanent)
	}
	switch Kind(m.Kind) {
	case Activation, ActivationResent:
		return need(m.SignupID, s.cfg.Links.Activation)
	case Invitation:
		return need(content.InvitationID, s.cfg.Links.Invitation)
	case SetPassword:
		var failed error
		link, err := need(m.SignupID, func(id uuid.UUID) (link string) {
			link, failed = s.cfg.Links.PasswordSet(ctx, id)
			return link
		})
		if failed != nil {
			return "", fmt.Errorf("create the link of mail %s: %w", m.ID, failed)
		}
		return link, err
	case AlreadyRegistered, SchoolReady:
		return s.cfg.Links.Login(), nil
	case Waiting, Rejected:
		return "", nil
	}
	return "", fmt.Errorf("%w: it is of an unknown kind", errPermanent)
}

// maxNameLength is how much of a name a mail repeats.
const maxNameLength = 100

// oneLine removes control characters, and characters that change the direction of the text around them.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.Cc, r), r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\ufeff':
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	return strings.Join(strings.Fields(text), " ")
}

// cleanName normalises and truncates a name.
func cleanName(name string) string {
	name = oneLine(name)
	if runes := []rune(name); len(runes) > maxNameLength {
		return string(runes[:maxNameLength]) + "…"
	}
	return name
}

// preventAutolink returns a name in which no mail program recognises an address as a link.
func preventAutolink(name string) string {
	runes := []rune(cleanName(name))
	var text strings.Builder
	for i, r := range runes {
		text.WriteRune(r)
		if (r == '.' || r == ':' || r == '@' || r == '/') && i+1 < len(runes) && runes[i+1] != ' ' {
			text.WriteRune('\u2060') // this character (WORD JOINER) has no width, and is in no address
		}
	}
	return text.String()
}
