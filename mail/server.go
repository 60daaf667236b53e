package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"homeroom/internal/secret"
)

// server is the configured mail server.
type server struct {
	host, port string
	user       string
	password   secret.String
	// implicit says that TLS is used from the start; otherwise policy is that of STARTTLS.
	implicit bool
	policy   gomail.TLSPolicy
	tls      *tls.Config
}

// CheckServer validates the URL of a mail server. Its error quotes only the parameter starttls.
func CheckServer(url string) error {
	_, err := parseServer(secret.String(url), nil)
	return err
}

// parseServer parses the server's URL. Its errors quote only the parameter starttls.
func parseServer(text secret.String, trust *tls.Config) (server, error) {
	u, err := url.Parse(text.Reveal())
	if err != nil || u.Hostname() == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") || strings.Trim(u.Path, "/") != "" {
		return server{}, errors.New("use a URL such as smtp://user:password@mail.lincoln.example:587")
	}
	s := server{host: u.Hostname(), port: u.Port(), user: u.User.Username(), implicit: u.Scheme == "smtps"}
	s.policy = gomail.TLSMandatory
	password, _ := u.User.Password()
	s.password = secret.String(password)
	if s.port == "" {
		s.port = map[bool]string{true: "465", false: "587"}[s.implicit]
	}
	starttls := u.Query().Get("starttls")
	switch {
	case s.implicit && starttls != "":
		return server{}, errors.New("smtps:// is TLS from the start: leave ?starttls= out")
	case s.implicit, starttls == "optional", starttls == "" && isLoopback(s.host):
		s.policy = gomail.TLSOpportunistic
	case starttls == "off":
		s.policy = gomail.NoTLS
	case starttls != "" && starttls != "required":
		return server{}, fmt.Errorf("?starttls=%s is none of required, optional and off", starttls)
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if trust != nil {
		s.tls = trust.Clone()
	}
	s.tls.ServerName = s.host
	return s, nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// session is an SMTP session in which one mail is sent.
type session struct {
	conn   net.Conn
	client *smtp.Client
}

// envelopeTimeout limits everything before the text of a mail, textTimeout the sending of the text and the wait for the
// reply: servers may scan a mail before they accept it. (RFC 5321 asks for ten minutes, which servers of today do not
// need.)
const (
	envelopeTimeout = time.Minute
	textTimeout     = 3 * time.Minute
)

// open connects and logs in. go-mail leaves the connection open when that fails, so it is stored here and closed.
func (s server) open(ctx context.Context) (*session, error) {
	c := &session{}
	client, err := gomail.NewClient(s.host, s.options(c)...)
	if err != nil {
		return nil, fmt.Errorf("set the mail server up: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, envelopeTimeout)
	defer cancel()
	if c.client, err = client.DialToSMTPClientWithContext(ctx); err != nil {
		c.close()
		return nil, fmt.Errorf("open a connection to the mail server: %w", err)
	}
	return c, nil
}

func (s server) options(c *session) []gomail.Option {
	port, _ := strconv.Atoi(s.port) // url.Parse has checked it
	dial := func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		if s.implicit {
			conn, err = (&tls.Dialer{Config: s.tls}).DialContext(ctx, network, address)
		} else {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		}
		c.conn = conn
		return conn, err
	}
	options := []gomail.Option{
		gomail.WithPort(port), gomail.WithTLSPolicy(s.policy), gomail.WithTLSConfig(s.tls), gomail.WithTimeout(envelopeTimeout),
		gomail.WithDialContextFunc(dial), gomail.WithoutSMTPUTF8(),
	}
	if s.user != "" {
		auth := gomail.SMTPAuthAutoDiscover
		if s.policy == gomail.NoTLS || isLoopback(s.host) && s.policy == gomail.TLSOpportunistic && !s.implicit {
			auth = gomail.SMTPAuthPlainNoEnc // the operator has disabled TLS, or the password stays on the machine
		}
		options = append(options, gomail.WithSMTPAuth(auth), gomail.WithUsername(s.user), gomail.WithPassword(s.password.Reveal()))
	}
	return options
}

// close ends the connection at once.
func (c *session) close() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

// address sends the sender and the recipient.
func (c *session) address(from, to string) error {
	if err := c.client.Mail("<" + from + ">"); err != nil {
		return fmt.Errorf("MAIL FROM: %w", err)
	}
	if err := c.client.Rcpt("<" + to + ">"); err != nil {
		return fmt.Errorf("RCPT TO: %w", err)
	}
	return nil
}

// errNoReply means that some of a mail's text was sent, and it is unknown whether the server has accepted it.
var errNoReply = errors.New("the mail server's reply was lost")

// sendText sends the text. Every error but [errNoReply] means that the server has not accepted the mail.
func (c *session) sendText(text []byte) error {
	if err := c.client.UpdateDeadline(textTimeout); err != nil {
		return fmt.Errorf("DATA: %w", err)
	}
	writer, err := c.client.Data()
	if err != nil {
		return fmt.Errorf("DATA: %w", err)
	}
	if _, err := writer.Write(text); err != nil {
		return fmt.Errorf("%w: send the text: %w", errNoReply, err)
	}
	if err := writer.Close(); err != nil {
		if replyCode(err) == 0 {
			err = fmt.Errorf("%w: %w", errNoReply, err)
		}
		return fmt.Errorf("end of the text: %w", err)
	}
	_ = c.client.Quit() // the server has accepted the mail
	return nil
}

// replyCode returns the code of a mail server's reply; 0 if there is none.
func replyCode(err error) int {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return answer.Code
	}
	return 0
}

// isAuthFailure reports whether a reply refuses our credentials: an operator may correct them before the next attempt.
func isAuthFailure(code int) bool { return code == 530 || code == 534 || code == 535 || code == 538 }

// describeError describes an error without secrets, for rows and logs. A server may repeat the credentials in its
// reply to a login.
func (s server) describeError(err error) string {
	if code := replyCode(err); isAuthFailure(code) || strings.Contains(err.Error(), "SMTP AUTH") {
		return fmt.Sprintf("the mail server refuses our login (%d)", code)
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(err.Error(), "?"))
	if password := s.password.Reveal(); password != "" {
		text = strings.ReplaceAll(text, password, secret.Redacted)
	}
	const longest = 300
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	return text
}
