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

// PeopleConfig is the part of the environment that is about whom the service lets in, and how it writes to them.
type PeopleConfig struct {
	URL            string        `env:"HOMEROOM_URL" is:"url" help:"where people reach this service, for the links in mails; http://$HOMEROOM_ADDR when empty"`
	AppURL         string        `env:"HOMEROOM_APP_URL" is:"url" help:"where people log in, for links; none when empty"`
	SignupMode     string        `env:"HOMEROOM_SIGNUP_MODE" choices:"open,invite,approve,closed" envDefault:"open" help:"who may sign a school up: open; invite, who was invited; approve, everybody, once an operator has agreed; closed"`
	ProvisionAfter string        `env:"HOMEROOM_PROVISION_AFTER" choices:"created,verified" envDefault:"created" help:"when a school gets its database: created, at once; verified, when its e-mail has been confirmed. The latter needs HOMEROOM_SMTP_URL"`
	SignupConceal  bool          `env:"HOMEROOM_SIGNUP_CONCEAL_EXISTING" envDefault:"false" help:"answers a sign-up in the same way whether or not its e-mail has an account, and tells the owner by mail. Needs HOMEROOM_PROVISION_AFTER=verified"`
	SignupPatience time.Duration `env:"HOMEROOM_SIGNUP_PATIENCE" envDefault:"48h" help:"how long a sign-up waits for its e-mail to be confirmed, or for an operator"`

	SMTPURL       secret.String `env:"HOMEROOM_SMTP_URL" is:"mail-server" help:"the mail server, such as smtp://user:password@mail.lincoln.example:587; no mail is sent when empty"`
	MailFrom      string        `env:"HOMEROOM_MAIL_FROM" is:"mail" help:"the sender of mails, such as Lincoln <no-reply@lincoln.example>; needed with HOMEROOM_SMTP_URL"`
	MailReplyTo   string        `env:"HOMEROOM_MAIL_REPLY_TO" is:"mail" help:"where answers to mails go; nowhere when empty"`
	Product       string        `env:"HOMEROOM_PRODUCT" envDefault:"Homeroom" help:"what mails and pages call the service"`
	MailTemplates string        `env:"HOMEROOM_MAIL_TEMPLATES" is:"folder" help:"folder with templates of mails that replace ours"`
	Messages      string        `env:"HOMEROOM_MESSAGES" is:"folder" help:"folder with texts that replace ours, or that are in another language"`
	Language      string        `env:"HOMEROOM_LANGUAGE" envDefault:"en" help:"the language for people who do not say what they read"`
}

func (c PeopleConfig) verifyFirst() bool { return c.ProvisionAfter == "verified" }

// problems are what is wrong though each variable by itself is well formed.
func (c PeopleConfig) problems() (wrong []problem) {
	if c.verifyFirst() && c.SMTPURL == "" {
		wrong = append(wrong, problem{"HOMEROOM_SMTP_URL", "is not set: HOMEROOM_PROVISION_AFTER=verified needs a mail server, since the link that confirms an e-mail is sent by mail"})
	}
	if c.SignupConceal && !c.verifyFirst() {
		wrong = append(wrong, problem{
			"HOMEROOM_SIGNUP_CONCEAL_EXISTING",
			"is true, and needs HOMEROOM_PROVISION_AFTER=verified: a sign-up that is ready at once tells that its e-mail was new",
		})
	}
	if c.SMTPURL != "" && c.MailFrom == "" {
		wrong = append(wrong, problem{"HOMEROOM_MAIL_FROM", "is not set: HOMEROOM_SMTP_URL needs it, the sender of the mails, such as Lincoln <no-reply@lincoln.example>"})
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
	into.Mode, into.VerifyFirst, into.HideAccounts, into.WaitTimeout = signup.Mode(c.SignupMode), c.verifyFirst(), c.SignupConceal, c.SignupPatience
}

// abilityProblems are what the sign-ups ask of an identity provider that it cannot do.
func (c config) abilityProblems(provider identity.Provider) []problem {
	_, adopts := provider.(identity.AccountLinker)
	_, verifies := provider.(identity.Verifier)
	switch {
	case c.verifyFirst() && !verifies:
		return []problem{{"HOMEROOM_PROVISION_AFTER", "is verified, and this identity provider cannot be told that an e-mail was confirmed: use created"}}
	case (c.verifyFirst() || signup.Mode(c.SignupMode) == signup.WithApproval) && identity.SupportsMetadata(provider) && !adopts:
		what := "this identity provider cannot be told later which school a login belongs to"
		if c.verifyFirst() {
			return []problem{{"HOMEROOM_PROVISION_AFTER", "is verified, and " + what + ": use created"}}
		}
		return []problem{{"HOMEROOM_SIGNUP_MODE", "is approve, and " + what + ": use open, invite or closed"}}
	}
	return nil
}
