// Package mailtest is a mail server for tests and development. It stores mails and forwards none.
//
// The development command shows its mails; tests make it refuse or disconnect at any stage of an SMTP session. SMTP
// is implemented by a library, so that the server does not share a mistake of the client.
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

// Stage is a stage of an SMTP session.
type Stage string

// The stages of a session.
const (
	// Greeting is the stage when a client has connected.
	Greeting Stage = "greeting"
	// From and To are the stages when it has sent the sender, and the recipient.
	From Stage = "from"
	To   Stage = "to"
	// Data is the stage when it begins to send the text. Nothing of it was read.
	Data Stage = "data"
	// Text is the stage when the whole text was read, and before the reply.
	Text Stage = "text"
)

// Reply is the server's reply at a stage.
type Reply struct {
	// Code is the SMTP code, such as 451; 0 means that the session continues.
	Code int
	Text string
	// HangUp closes the connection without a reply.
	HangUp bool
	// Keep keeps the mail at the stage Text although the reply is an error.
	Keep bool
}

// Message is a mail that was accepted.
type Message struct {
	Number   int
	From, To string
	Raw      []byte
	At       time.Time
}

// maxMessages is how many mails are stored.
const maxMessages = 200

// Server is a mail server. It is safe for concurrent use.
type Server struct {
	listener net.Listener
	server   *smtp.Server

	mu       sync.Mutex
	last     int
	messages []Message
	reply    func(Stage) Reply
}

// Listen starts a server on a loopback address such as 127.0.0.1:0. Close stops it.
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
	go func() { _ = s.server.Serve(listener) }() // Close ends it
	return s, nil
}

// discardLogger drops the library's log: tests end sessions on purpose.
type discardLogger struct{}

func (discardLogger) Printf(string, ...any) {}
func (discardLogger) Println(...any)        {}

// URL returns the server's URL, as in the configuration.
func (s *Server) URL() string { return "smtp://" + s.listener.Addr().String() }

// Close ends the server and its connections.
func (s *Server) Close() error { return s.server.Close() }

// Fail sets f as the function that chooses the reply at every stage; nil accepts all mails.
func (s *Server) Fail(f func(Stage) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reply = f
}

// Messages returns the accepted mails, the newest last.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Numbers returns the numbers of the stored mails, the newest first.
func (s *Server) Numbers() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	numbers := make([]int, 0, len(s.messages))
	for _, m := range slices.Backward(s.messages) {
		numbers = append(numbers, m.Number)
	}
	return numbers
}

// Message returns the text of a stored mail, and when it was accepted; ok is false if there is none.
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

// replyAt returns the reply at a stage. The function may block, and call the server.
func (s *Server) replyAt(stage Stage) Reply {
	s.mu.Lock()
	f := s.reply
	s.mu.Unlock()
	if f == nil {
		return Reply{}
	}
	return f(stage)
}

// session is an SMTP session.
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
		_ = c.conn.Conn().Close() // as the reply says
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
		return err // the client has disconnected: an incomplete mail is not stored
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
