// Package web has the pages that people meet in a browser: the registration, those to which the links in mails lead, those of a
// registration at the identity provider, and the mailbox of development.
package web

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"time"

	"github.com/gin-gonic/gin"

	"homeroom/admission"
	"homeroom/catalog"
	"homeroom/hosted"
	"homeroom/messages"
	"homeroom/signup"
	"homeroom/ui"
)

//go:embed pages
var pages embed.FS

// Config configures the pages.
type Config struct {
	// Signup confirms sign-ups and finds invitations. Required.
	Signup *signup.Service
	// Catalog finds schools and sign-ups. Required.
	Catalog *catalog.Store
	// Admission begins sign-ups. Required.
	Admission *admission.Admission
	// Texts are the texts for people, in their languages. Required.
	Texts *messages.Texts
	// Hosted, if not nil, adds the sign-up on the pages of an identity provider. Defaults to none.
	Hosted *hosted.Provider
	// HostedRate is how often one client address may begin that, and come back from it. Defaults to no limit.
	HostedRate *catalog.Allowance
	// OAuth are the provider's own names of the connections that the registration page offers, by the names that
	// people know, such as google. They need Hosted. Defaults to none.
	OAuth map[string]string
	// Mailbox, if not nil, is shown at /dev/mailbox. Defaults to none.
	Mailbox Mailbox
	// AppURL is the page where people log in. Defaults to none, which leaves out links to it.
	AppURL string
}

// signupTimeout bounds a sign-up that goes on after the browser has disconnected.
const signupTimeout = 30 * time.Second

// Site has the pages. It may be used by many goroutines.
type Site struct {
	cfg       Config
	templates *template.Template
	assets    ui.Assets
}

// New makes the pages.
func New(cfg Config) (*Site, error) {
	switch {
	case cfg.Signup == nil || cfg.Catalog == nil || cfg.Admission == nil || cfg.Texts == nil:
		return nil, errors.New("the pages need sign-ups, a catalog, an admission and texts")
	case cfg.HostedRate != nil && (cfg.HostedRate.Count < 1 || cfg.HostedRate.Window < time.Second):
		return nil, errors.New("the rate of hosted registrations must allow at least one, in a second or more")
	}
	templates, err := template.ParseFS(pages, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("read the pages: %w", err)
	}
	assets, err := ui.Open()
	if err != nil {
		return nil, err
	}
	return &Site{cfg, templates, assets}, nil
}

// Register adds the pages to a router.
func (s *Site) Register(router gin.IRouter) {
	s.registerPersonPages(router)
	s.registerRegistration(router)
	s.registerHosted(router)
	s.registerMailbox(router)
}

// admit begins a sign-up, and sets the headers with the rest of the caller's allowance.
func (s *Site) admit(ctx context.Context, c *gin.Context, who admission.Applicant) (signup.Outcome, error) {
	who.Caller = admission.CallerOf(ctx)
	outcome, grant, err := s.cfg.Admission.Begin(ctx, who)
	grant.SetHeaders(c.Writer.Header())
	return outcome, err
}

// take takes one from an allowance of the caller's address, and sets the headers with the rest.
func (s *Site) take(c *gin.Context, name string, allowance *catalog.Allowance) error {
	ctx := c.Request.Context()
	grant, err := s.cfg.Admission.Take(ctx, name, allowance, admission.CallerOf(ctx))
	grant.SetHeaders(c.Writer.Header())
	return err
}

// viewSignup finds a sign-up.
func (s *Site) viewSignup(ctx context.Context, text string) (signup.View, error) {
	id, err := catalog.ParseID(text)
	if err != nil {
		return signup.View{}, err
	}
	return s.cfg.Signup.View(ctx, id)
}
