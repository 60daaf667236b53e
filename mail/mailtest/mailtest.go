// Package mailtest is a mail server to try mails against. It keeps what it is given and sends nothing on.
//
// The development command shows its mails, and tests tell it to refuse or to hang up at any point of a conversation. SMTP
// itself is spoken by a library that others wrote, so that a misunderstanding of ours does not agree with itself.
package mailtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Stage is a point of a conversation.
type Stage string

// The stages of a conversation.
const (
	// Greeting: a client has connected.
	Greeting Stage = "greeting"
	// From and To: it names the sender, and the recipient.
	From Stage = "from"
	To   Stage = "to"
	// Data: it hands the text over. Nothing of it has been read.
	Data Stage = "data"
	// Text: the whole text was read, and has not been answered.
	Text Stage = "text"
)

// Reply is what a server answers.
type Reply struct {
	// Code is the SMTP code, such as 451; 0 lets the conversation go on.
	Code int
	Text string
	// HangUp ends the connection instead, without a word.
	HangUp bool
	// Keep keeps the mail at the stage Text although the answer is another.
	Keep bool
}

// Message is a mail that was taken.
type Message struct {
	Number   int
	From, To string
	Raw      []byte
	At       time.Time
}

// kept is how many mails are kept.
const maxMessages = 200

// Server is a mail server. All its methods may be called at any time.
type Server struct {
	listener net.Listener
	server   *smtp.Server

	mu       sync.Mutex
	last     int
	messages []Message
	reply    func(Stage) Reply
}

// Listen starts a server on a loopback address such as 127.0.0.1:0. Close ends it.
func Listen(addr string) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for mails: %w", err)
	}
	s := &Server{listener: listener}
	s.server = smtp.NewServer(smtp.BackendFunc(s.session))
	s.server.Domain = "mailtest.localhost"
	s.server.ReadTimeout, s.server.WriteTimeout = time.Minute, time.Minute
	s.server.MaxMessageBytes = 4 << 20
	s.server.ErrorLog = discardLogger{}
	go func() { _ = s.server.Serve(listener) }() // it ends by Close
	return s, nil
}

// silent is for a server whose conversations are ended on purpose.
type discardLogger struct{}

func (discardLogger) Printf(string, ...any) {}
func (discardLogger) Println(...any)        {}

// URL is the server's address, as the configuration wants it.
func (s *Server) URL() string { return "smtp://" + s.listener.Addr().String() }

// Close ends the server and its connections.
func (s *Server) Close() error { return s.server.Close() }

// Fail has every stage of every conversation answered by f, until it is called again; nil is a server that takes all.
func (s *Server) Fail(f func(Stage) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reply = f
}

// Messages are the mails that were taken, the newest last.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Numbers are those of the mails that are kept, the newest first.
func (s *Server) Numbers() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	numbers := make([]int, 0, len(s.messages))
	for _, m := range slices.Backward(s.messages) {
		numbers = append(numbers, m.Number)
	}
	return numbers
}

// Message is a mail as it came, and when; ok is false for one that is not kept.
func (s *Server) Message(number int) (raw []byte, at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.Number == number {
			return m.Raw, m.At, true
		}
	}
	return nil, time.Time{}, false
}

func (s *Server) keep(m Message) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	m.Number = s.last
	s.messages = append(s.messages, m)
	s.messages = s.messages[max(0, len(s.messages)-maxMessages):]
	return m.Number
}

func (s *Server) drop(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = slices.DeleteFunc(s.messages, func(m Message) bool { return m.Number == number })
}

// at asks what to answer at a stage. The function may take its time, and call the server.
func (s *Server) replyAt(stage Stage) Reply {
	s.mu.Lock()
	f := s.reply
	s.mu.Unlock()
	if f == nil {
		return Reply{}
	}
	return f(stage)
}

// session is a conversation.
type session struct {
	server   *Server
	conn     *smtp.Conn
	from, to string
}

func (s *Server) session(conn *smtp.Conn) (smtp.Session, error) {
	c := &session{server: s, conn: conn}
	return c, c.stage(Greeting)
}

var errHungUp = errors.New("hung up")

func (c *session) stage(stage Stage) error { return c.apply(c.server.replyAt(stage)) }

func (c *session) apply(reply Reply) error {
	switch {
	case reply.HangUp:
		_ = c.conn.Conn().Close() // which is the point
		return errHungUp
	case reply.Code != 0:
		return &smtp.SMTPError{Code: reply.Code, EnhancedCode: smtp.NoEnhancedCode, Message: reply.Text}
	}
	return nil
}

// Mail implements [smtp.Session].
func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	c.from = from
	return c.stage(From)
}

// Rcpt implements [smtp.Session].
func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.to = to
	return c.stage(To)
}

// Data implements [smtp.Session].
func (c *session) Data(r io.Reader) error {
	if err := c.stage(Data); err != nil {
		return err
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err // cut on the way: a server keeps no half mail
	}
	number := c.server.keep(Message{From: c.from, To: c.to, Raw: bytes.Clone(raw), At: time.Now()})
	reply := c.server.replyAt(Text)
	if !reply.Keep && (reply.Code != 0 || reply.HangUp) {
		c.server.drop(number)
	}
	return c.apply(reply)
}

// Reset implements [smtp.Session].
func (c *session) Reset() { c.from, c.to = "", "" }

// Logout implements [smtp.Session].
func (c *session) Logout() error { return nil }
