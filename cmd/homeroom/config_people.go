package main

import (
	"fmt"
	"strings"
	"time"

	"homeroom/identity"
	"homeroom/internal/secret"
	"homeroom/mail"
	"homeroom/signup"
)

// PeopleConfig holds the settings for who may sign up, and for mails and texts.
type PeopleConfig struct {
	URL            string        `env:"HOMEROOM_URL" is:"url" help:"the URL of this service for people, for the links in mails; http://$HOMEROOM_ADDR when empty"`
	AppURL         string        `env:"HOMEROOM_APP_URL" is:"url" help:"the URL where people log in, for links; none when empty"`
	SignupMode     string        `env:"HOMEROOM_SIGNUP_MODE" choices:"open,invite,approve,closed" envDefault:"open" help:"who may sign a school up: open, everybody; invite, people with an invitation; approve, everybody, after an operator has approved; closed, nobody"`
	ProvisionAfter string        `env:"HOMEROOM_PROVISION_AFTER" choices:"created,verified" envDefault:"created" help:"when a school gets its database: created, at once; verified, after its e-mail was confirmed, which needs HOMEROOM_SMTP_URL"`
	SignupConceal  bool          `env:"HOMEROOM_SIGNUP_CONCEAL_EXISTING" envDefault:"false" help:"hides which e-mails have an account: answers a sign-up in the same way whether or not its e-mail has one, and notifies the owner by mail. Needs HOMEROOM_PROVISION_AFTER=verified"`
	SignupPatience time.Duration `env:"HOMEROOM_SIGNUP_PATIENCE" envDefault:"48h" help:"how long a sign-up waits until its e-mail is confirmed, or an operator has approved it"`

	SMTPURL       secret.String `env:"HOMEROOM_SMTP_URL" is:"mail-server" help:"the mail server, such as smtp://user:password@mail.lincoln.example:587; no mail is sent when empty"`
	MailFrom      string        `env:"HOMEROOM_MAIL_FROM" is:"mail" help:"the sender of mails, such as Lincoln <no-reply@lincoln.example>; needed with HOMEROOM_SMTP_URL"`
	MailReplyTo   string        `env:"HOMEROOM_MAIL_REPLY_TO" is:"mail" help:"the address for replies to mails; none when empty"`
	Product       string        `env:"HOMEROOM_PRODUCT" envDefault:"Homeroom" help:"the name of the service in mails and pages"`
	MailTemplates string        `env:"HOMEROOM_MAIL_TEMPLATES" is:"folder" help:"folder with templates of mails that replace the built-in ones"`
	Messages      string        `env:"HOMEROOM_MESSAGES" is:"folder" help:"folder with texts that replace the built-in ones, or add a language"`
	Language      string        `env:"HOMEROOM_LANGUAGE" envDefault:"en" help:"the language for people whose preference is not known"`
}

func (c PeopleConfig) verifyFirst() bool { return c.ProvisionAfter == "verified" }

// problems returns what is wrong although each variable by itself is well formed.
func (c PeopleConfig) problems() (wrong []problem) {
	if c.verifyFirst() && c.SMTPURL == "" {
		wrong = append(wrong, problem{
			"HOMEROOM_SMTP_URL",
			"is not set: HOMEROOM_PROVISION_AFTER=verified needs a mail server, since the link that confirms an e-mail is sent by mail",
		})
	}
	if c.SignupConceal && !c.verifyFirst() {
		wrong = append(wrong, problem{
			"HOMEROOM_SIGNUP_CONCEAL_EXISTING",
			"is true, and needs HOMEROOM_PROVISION_AFTER=verified: a sign-up that is ready at once shows that its e-mail had no account",
		})
	}
	if c.SMTPURL != "" && c.MailFrom == "" {
		wrong = append(wrong, problem{
			"HOMEROOM_MAIL_FROM",
			"is not set: HOMEROOM_SMTP_URL needs it, the sender of the mails, such as Lincoln <no-reply@lincoln.example>",
		})
	}
	if c.MailTemplates != "" {
		if err := mail.CheckTemplates(c.MailTemplates); err != nil {
			wrong = append(wrong, problem{"HOMEROOM_MAIL_TEMPLATES", fmt.Sprintf("is %s: %v", quoted(c.MailTemplates), err)})
		}
	}
	if _, err := c.texts(); err != nil {
		name := "HOMEROOM_LANGUAGE"
		if _, ours := (PeopleConfig{Language: c.Language}).texts(); ours == nil && c.Messages != "" {
			name = "HOMEROOM_MESSAGES"
		}
		wrong = append(wrong, problem{name, fmt.Sprintf("cannot be used: %v", err)})
	}
	return wrong
}

// publicURL returns the URL of the service for people, without a closing slash.
func (c config) publicURL() string {
	if c.URL != "" {
		return strings.TrimRight(c.URL, "/")
	}
	return "http://" + c.Addr
}

// waiting configures what sign-ups wait for. A command without an identity provider begins no sign-ups, so it waits
// for nothing.
func (c config) waiting(into *signup.Config) {
	into.Mode, into.VerifyFirst, into.HideAccounts, into.WaitTimeout = signup.Mode(c.SignupMode), c.verifyFirst(), c.SignupConceal, c.SignupPatience
}

// abilityProblems returns the settings that need abilities which the identity provider does not have.
func (c config) abilityProblems(provider identity.Provider) []problem {
	_, adopts := provider.(identity.AccountLinker)
	_, verifies := provider.(identity.Verifier)
	switch {
	case c.verifyFirst() && !verifies:
		return []problem{{"HOMEROOM_PROVISION_AFTER", "is verified, and this identity provider cannot mark an e-mail as confirmed: use created"}}
	case (c.verifyFirst() || signup.Mode(c.SignupMode) == signup.WithApproval) && identity.SupportsMetadata(provider) && !adopts:
		what := "this identity provider cannot store later which school an account belongs to"
		if c.verifyFirst() {
			return []problem{{"HOMEROOM_PROVISION_AFTER", "is verified, and " + what + ": use created"}}
		}
		return []problem{{"HOMEROOM_SIGNUP_MODE", "is approve, and " + what + ": use open, invite or closed"}}
	}
	return nil
}
