package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"homeroom/internal/secret"
	"homeroom/signup"
)

// PeopleConfig is the part of the environment that is about whom the service lets in, and how it writes to them.
type PeopleConfig struct {
	URL            string        `env:"HOMEROOM_URL" help:"where people reach this service, for the links in mails; http://$HOMEROOM_ADDR when empty"`
	AppURL         string        `env:"HOMEROOM_APP_URL" help:"where people log in, for links; none when empty"`
	SignupMode     string        `env:"SIGNUP_MODE" envDefault:"open" help:"who may sign a school up: open; invite, who was invited; approve, everybody, once an operator has agreed; closed"`
	ProvisionAfter string        `env:"PROVISION_AFTER" envDefault:"created" help:"when a school gets its database: created, at once; verified, when its e-mail has been confirmed. The latter needs HOMEROOM_SMTP_URL"`
	SignupConceal  bool          `env:"SIGNUP_CONCEAL_EXISTING" envDefault:"false" help:"answers a sign-up in the same way whether or not its e-mail has an account, and tells the owner by mail. Needs PROVISION_AFTER=verified"`
	SignupPatience time.Duration `env:"SIGNUP_PATIENCE" envDefault:"48h" help:"how long a sign-up waits for its e-mail to be confirmed, or for an operator"`

	SMTPURL       secret.String `env:"HOMEROOM_SMTP_URL" help:"the mail server, such as smtp://user:password@mail.lincoln.example:587; no mail is sent when empty"`
	MailFrom      string        `env:"HOMEROOM_MAIL_FROM" help:"the sender of mails, such as Lincoln <no-reply@lincoln.example>; needed with HOMEROOM_SMTP_URL"`
	MailReplyTo   string        `env:"HOMEROOM_MAIL_REPLY_TO" help:"where answers to mails go; nowhere when empty"`
	Product       string        `env:"HOMEROOM_PRODUCT" envDefault:"Homeroom" help:"what mails and pages call the service"`
	MailTemplates string        `env:"HOMEROOM_MAIL_TEMPLATES" help:"folder with templates of mails that replace ours"`
	Messages      string        `env:"HOMEROOM_MESSAGES" help:"folder with texts that replace ours, or that are in another language"`
	Language      string        `env:"HOMEROOM_LANGUAGE" envDefault:"en" help:"the language for people who do not say what they read"`
}

func (c PeopleConfig) verifyFirst() bool { return c.ProvisionAfter == "verified" }

// check finds what is wrong with it.
func (c PeopleConfig) check() error {
	switch {
	case c.ProvisionAfter != "created" && c.ProvisionAfter != "verified":
		return fmt.Errorf("PROVISION_AFTER is %q: use created or verified", c.ProvisionAfter)
	case c.verifyFirst() && c.SMTPURL == "":
		return errors.New("PROVISION_AFTER=verified needs HOMEROOM_SMTP_URL: the link that confirms an e-mail is sent by mail")
	case c.SignupConceal && !c.verifyFirst():
		return errors.New("SIGNUP_CONCEAL_EXISTING=true needs PROVISION_AFTER=verified: a sign-up that is ready at once tells that its e-mail was new")
	case c.SMTPURL != "" && c.MailFrom == "":
		return errors.New("HOMEROOM_SMTP_URL needs HOMEROOM_MAIL_FROM, the sender of the mails")
	}
	for name, text := range map[string]string{"HOMEROOM_URL": c.URL, "HOMEROOM_APP_URL": c.AppURL} {
		if u, err := url.Parse(text); text != "" && (err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http")) {
			return fmt.Errorf("%s must be an address such as https://homeroom.lincoln.example", name)
		}
	}
	return nil
}

// publicURL is where people reach the service, without a closing slash.
func (c config) publicURL() string {
	if c.URL != "" {
		return strings.TrimRight(c.URL, "/")
	}
	return "http://" + c.Addr
}

// waiting has the saga wait for people as configured. A command that has no identity provider waits for nobody: it begins no
// sign-up.
func (c config) waiting(into *signup.Config) {
	into.Mode, into.VerifyFirst, into.Conceal, into.Patience = signup.Mode(c.SignupMode), c.verifyFirst(), c.SignupConceal, c.SignupPatience
}
