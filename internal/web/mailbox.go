package web

import (
	"bytes"
	"html/template"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"homeroom/internal/problem"
	"homeroom/messages"
)

// Mailbox holds the mails that the development server would have sent. It is never configured in production.
type Mailbox interface {
	// Numbers are the numbers of the stored mails, the newest first.
	Numbers() []int
	// Message returns a mail and its time; ok is false for an unknown number.
	Message(number int) (raw []byte, at time.Time, ok bool)
}

const mailboxPath = "/dev/mailbox"

// The page of a mail shows its HTML in a frame. The HTML comes from outside: it may neither run nor load anything,
// and its links open in another window.
const (
	mailboxPolicy = "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; " +
		"frame-ancestors 'none'"
	framePolicy = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; " +
		"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

// registerMailbox adds the pages of the mailbox, where there is one.
func (s *Site) registerMailbox(router gin.IRouter) {
	if s.cfg.Mailbox == nil {
		return
	}
	box := &mailboxPages{s.cfg.Mailbox, s.templates}
	router.GET(mailboxPath, box.list)
	router.GET(mailboxPath+"/:number", box.show)
	router.GET(mailboxPath+"/:number/html", box.frame)
}

// mailboxPages answer for the mailbox: to browsers with pages, to programs with JSON.
type mailboxPages struct {
	box       Mailbox
	templates *template.Template
}

// list shows all mails.
func (m *mailboxPages) list(c *gin.Context) {
	mails := []*shownMail{}
	for _, number := range m.box.Numbers() {
		if mail, ok := m.read(number); ok {
			mails = append(mails, mail)
		}
	}
	m.write(c, "mailbox.html", mails, gin.H{"mails": mails})
}

// show shows one mail.
func (m *mailboxPages) show(c *gin.Context) {
	if mail, ok := m.find(c); ok {
		m.write(c, "mailbox_mail.html", mail, mail)
	}
}

// frame writes the HTML of a mail, for its frame.
func (m *mailboxPages) frame(c *gin.Context) {
	mail, ok := m.find(c)
	if !ok {
		return
	}
	c.Header("Content-Security-Policy", framePolicy)
	c.Header("X-Frame-Options", "SAMEORIGIN")
	// Links open in a window of their own, since they would not work in the frame.
	page := strings.Replace(mail.HTML, "<head>", `<head><base target="_blank">`, 1)
	c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(page))
}

func (m *mailboxPages) write(c *gin.Context, name string, data, forPrograms any) {
	c.Writer.Header().Add("Vary", "Accept")
	if !strings.Contains(c.GetHeader("Accept"), "text/html") {
		c.JSON(http.StatusOK, forPrograms)
		return
	}
	var page bytes.Buffer
	if err := m.templates.ExecuteTemplate(&page, name, data); err != nil {
		panic(err) // recover answers, and logs it
	}
	c.Header("Content-Security-Policy", mailboxPolicy)
	c.Data(http.StatusOK, "text/html; charset=utf-8", page.Bytes())
}

// find reads the mail that a path names, or answers that there is none.
func (m *mailboxPages) find(c *gin.Context) (*shownMail, bool) {
	if number, err := strconv.Atoi(c.Param("number")); err == nil {
		if mail, ok := m.read(number); ok {
			return mail, true
		}
	}
	problem.Write(c.Writer, c.Request, problem.New(problem.NotFound, messages.ID("detail.not_found")))
	return nil, false
}

func (m *mailboxPages) read(number int) (*shownMail, bool) {
	raw, at, ok := m.box.Message(number)
	if !ok {
		return nil, false
	}
	mail := readMail(raw)
	mail.Number, mail.At = number, at.UTC()
	return mail, true
}

// webAddress matches what becomes a link in a text part.
var webAddress = regexp.MustCompile(`https?://[^\s<>"]+[^\s<>".,;:!?)]`)

// Linked returns the text with its web addresses as links.
func (m *shownMail) Linked() template.HTML {
	text := m.Text
	var html strings.Builder
	end := 0
	for _, at := range webAddress.FindAllStringIndex(text, -1) {
		html.WriteString(template.HTMLEscapeString(text[end:at[0]]))
		address := template.HTMLEscapeString(text[at[0]:at[1]])
		html.WriteString(`<a href="` + address + `">` + address + `</a>`)
		end = at[1]
	}
	html.WriteString(template.HTMLEscapeString(text[end:]))
	return template.HTML(html.String()) //nolint:gosec // escaped above, and nothing but http and https is a link
}
