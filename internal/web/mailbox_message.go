package web

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
)

// shownMail is a mail as the mailbox shows it.
type shownMail struct {
	Number  int       `json:"number"`
	At      time.Time `json:"at"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`
	// Headers are all headers, as they were written.
	Headers string `json:"headers"`
}

// readMail parses a mail as far as possible: every mail that was sent can be seen.
func readMail(raw []byte) *shownMail {
	head, _, _ := bytes.Cut(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\n\n"))
	shown := &shownMail{Headers: string(head)}
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		shown.Subject, shown.Text = "(not a mail)", string(raw)
		return shown
	}
	header := func(name string) string {
		text, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get(name))
		if err != nil {
			return message.Header.Get(name)
		}
		return text
	}
	shown.From, shown.To, shown.Subject = person(header("From")), person(header("To")), header("Subject")
	shown.take(textproto.MIMEHeader(message.Header), message.Body)
	return shown
}

// person formats an address without the quotes and brackets that only programs need.
func person(text string) string {
	address, err := mail.ParseAddress(text)
	switch {
	case err != nil:
		return text
	case address.Name == "":
		return address.Address
	}
	return address.Name + " <" + address.Address + ">"
}

// take reads a part, or its parts.
func (m *shownMail) take(header textproto.MIMEHeader, body io.Reader) {
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") {
		for parts := multipart.NewReader(body, params["boundary"]); ; {
			part, err := parts.NextRawPart()
			if err != nil {
				return // the end, or a mail that was cut
			}
			m.take(part.Header, part)
		}
	}
	switch strings.ToLower(header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, _ := io.ReadAll(body) // what could be read is shown
	if kind == "text/html" {
		m.HTML = string(text)
	} else if m.Text == "" {
		m.Text = string(text)
	}
}
