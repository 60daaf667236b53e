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

// server is the mail server that takes our mails.
type server struct {
	host, port string
	user       string
	password   secret.String
	// implicit is TLS from the start; otherwise policy says what becomes of STARTTLS.
	implicit bool
	policy   gomail.TLSPolicy
	tls      *tls.Config
}

// CheckServer finds what is wrong with the URL of a mail server. Its error quotes nothing of it but what it says of STARTTLS.
func CheckServer(url string) error {
	_, err := parseServer(secret.String(url), nil)
	return err
}

// parseServer reads the server's URL. Its errors quote nothing of it but what it says of STARTTLS.
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
	wish := u.Query().Get("starttls")
	switch {
	case s.implicit && wish != "":
		return server{}, errors.New("smtps:// is TLS from the start: leave ?starttls= out")
	case s.implicit, wish == "optional", wish == "" && isLoopback(s.host):
		s.policy = gomail.TLSOpportunistic
	case wish == "off":
		s.policy = gomail.NoTLS
	case wish != "" && wish != "required":
		return server{}, fmt.Errorf("?starttls=%s is none of required, optional and off", wish)
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

// conversation is a connection over which one mail can be sent.
type session struct {
	conn   net.Conn
	client *smtp.Client
}

// envelopeTimeout bounds everything before the text of a mail, textTimeout the handing over of the text and the wait for the
// answer: servers may look a mail through before they take it. (RFC 5321 asks for ten minutes of patience, which no server of
// today needs.)
const (
	envelopeTimeout = time.Minute
	textTimeout     = 3 * time.Minute
)

// open connects and logs in. go-mail leaves a connection open when that fails, so it is remembered here.
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
			auth = gomail.SMTPAuthPlainNoEnc // the operator has said so, or the password stays on the machine
		}
		options = append(options, gomail.WithSMTPAuth(auth), gomail.WithUsername(s.user), gomail.WithPassword(s.password.Reveal()))
	}
	return options
}

// close ends the connection at once.
func (c *session) close() {
	if c.conn != nil {
		_ = c.conn.Close() // nothing is lost with it
	}
}

// address names the sender and the recipient.
func (c *session) address(from, to string) error {
	if err := c.client.Mail("<" + from + ">"); err != nil {
		return fmt.Errorf("MAIL FROM: %w", err)
	}
	if err := c.client.Rcpt("<" + to + ">"); err != nil {
		return fmt.Errorf("RCPT TO: %w", err)
	}
	return nil
}

// errNoReply says that the text of a mail, or some of it, was handed over and nobody knows what has become of it.
var errNoReply = errors.New("the mail server's answer was lost")

// hand gives the text over. Every error but [errNoReply] means that the mail has surely not been taken: the server has
// refused it, or has been given nothing of it.
func (c *session) sendText(text []byte) error {
	if err := c.client.UpdateDeadline(textTimeout); err != nil {
		return fmt.Errorf("DATA: %w", err)
	}
	writer, err := c.client.Data()
	if err != nil {
		return fmt.Errorf("DATA: %w", err)
	}
	if _, err := writer.Write(text); err != nil {
		return fmt.Errorf("%w: hand the text over: %w", errNoReply, err)
	}
	if err := writer.Close(); err != nil {
		if replyCode(err) == 0 {
			err = fmt.Errorf("%w: %w", errNoReply, err)
		}
		return fmt.Errorf("end of the text: %w", err)
	}
	_ = c.client.Quit() // the mail is theirs
	return nil
}

// replyCode is the code that a mail server answered; 0 where it did not.
func replyCode(err error) int {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return answer.Code
	}
	return 0
}

// isAuthFailure tells answers that are about us, and not about the mail: an operator may mend them meanwhile.
func isAuthFailure(code int) bool { return code == 530 || code == 534 || code == 535 || code == 538 }

// describeError is what a mail server said, fit for a row and a log. What it says to a login may repeat the login.
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
