package auth0test

import (
	"html/template"
	"net/http"
	"strings"
)

// The paths of the pages of a login. The first two are those of Auth0.
const (
	loginPath  = "/u/login"
	signupPath = "/u/signup"
	socialPath = "/u/social"
	stylePath  = "/u/style.css"
)

// loginPage is the data of the pages. They have no script.
type loginPage struct {
	Words          map[string]string
	Language       string
	App, Heading   string
	Path, Other    string // of this page's form; of the other page's
	State          string
	Email, Message string
	Signup         bool
	NoSignup       bool
	Social         []string
	Connection     string
}

// pageWords are the texts by language, for ui_locales. The first supported language of the request is used, else
// English.
//
//nolint:gosec // the word password is no password
var pageWords = map[string]map[string]string{
	"en": {
		"signup": "Sign up", "login": "Log in", "email": "E-mail address", "password": "Password", "go": "Continue",
		"cancel": "Cancel", "have": "Already have an account?", "new": "No account yet?", "to": "to go on to", "with": "Continue with",
	},
	"de": {
		"signup": "Registrieren", "login": "Anmelden", "email": "E-Mail-Adresse", "password": "Passwort", "go": "Weiter",
		"cancel": "Abbrechen", "have": "Schon ein Konto?", "new": "Noch kein Konto?", "to": "und weiter zu", "with": "Weiter mit",
	},
	"es": {
		"signup": "Registrarse", "login": "Iniciar sesión", "email": "Correo electrónico", "password": "Contraseña", "go": "Continuar",
		"cancel": "Cancelar", "have": "¿Ya tiene una cuenta?", "new": "¿Aún no tiene cuenta?", "to": "para seguir a", "with": "Continuar con",
	},
}

// language returns the first language of the request in which the pages exist.
func (s *Server) language(locales string) string {
	for locale := range strings.FieldsSeq(locales) {
		base, _, _ := strings.Cut(strings.ToLower(locale), "-")
		if _, ok := pageWords[base]; ok {
			return base
		}
	}
	return "en"
}

const pageHead = `<!doctype html>
<html lang="{{.Language}}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Heading}} · Auth0 simulator</title><link rel="stylesheet" href="/u/style.css"></head>
<body><main>
<p class="sim">Auth0 simulator: this is not Auth0.</p>
<h1>{{.Heading}}</h1>
{{with .App}}<p>{{$.Words.to}} {{.}}</p>{{end}}
{{with .Connection}}<p>A pretended {{.}}. Choose any account; its address counts as verified.</p>{{end}}
{{with .Message}}<p class="alert" role="alert" id="message">{{.}}</p>{{end}}
`

var loginTemplate = template.Must(template.New("login").Parse(pageHead + `
<p>{{.Words.to}} {{.App}}</p>
<form method="post" action="{{.Path}}">
<input type="hidden" name="state" value="{{.State}}">
<label for="email">{{.Words.email}}</label>
<input id="email" name="email" type="email" autocomplete="{{if .Signup}}email{{else}}username{{end}}" value="{{.Email}}" required{{if .Message}} aria-describedby="message"{{end}}>
<label for="password">{{.Words.password}}</label>
<input id="password" name="password" type="password" autocomplete="{{if .Signup}}new-password{{else}}current-password{{end}}" required{{if .Message}} aria-describedby="message"{{end}}>
<button type="submit" name="action" value="go">{{.Words.go}}</button>
<button type="submit" name="action" value="cancel" class="plain" formnovalidate>{{.Words.cancel}}</button>
</form>
{{if .Signup}}<p>{{.Words.have}} <a href="{{.Other}}">{{.Words.login}}</a></p>
{{else if not .NoSignup}}<p>{{.Words.new}} <a href="{{.Other}}">{{.Words.signup}}</a></p>{{end}}
{{range .Social}}<form method="get" action="/u/social"><input type="hidden" name="state" value="{{$.State}}">
<input type="hidden" name="connection" value="{{.}}"><button type="submit" class="plain">{{$.Words.with}} {{.}}</button></form>{{end}}
</main></body></html>
`))

// socialTemplate is the page of a social connection's provider, which only asks for an e-mail.
var socialTemplate = template.Must(template.New("social").Parse(pageHead + `
<p>A pretended {{.Connection}}. Choose any account; its address counts as verified.</p>
<form method="post" action="{{.Path}}">
<input type="hidden" name="state" value="{{.State}}">
<input type="hidden" name="connection" value="{{.Connection}}">
<label for="email">{{.Words.email}}</label>
<input id="email" name="email" type="email" autocomplete="email" value="{{.Email}}" required{{if .Message}} aria-describedby="message"{{end}}>
<button type="submit" name="action" value="go">{{.Words.go}}</button>
<button type="submit" name="action" value="cancel" class="plain" formnovalidate>{{.Words.cancel}}</button>
</form>
</main></body></html>
`))

var errorTemplate = template.Must(template.New("error").Parse(pageHead + `</main></body></html>
`))

const pageStyle = `:root{color-scheme:light dark}body{margin:0;font:16px/1.5 system-ui,sans-serif}
main{max-width:24rem;margin:8vh auto;padding:0 1.25rem}.sim{font-size:.85rem;opacity:.75}
label{display:block;margin:1rem 0 .25rem;font-weight:600}
input:not([type=hidden]){width:100%;box-sizing:border-box;font:inherit;padding:.6rem;border:1px solid;border-radius:6px}
button{width:100%;margin-top:1rem;padding:.7rem;font:inherit;font-weight:600;border:1px solid #1a4f8b;border-radius:6px;background:#1a4f8b;color:#fff}
button.plain{background:none;color:inherit;border-color:currentcolor}
:focus-visible{outline:3px solid #e0a100;outline-offset:2px}.alert{border-left:4px solid #b3261e;padding:.5rem .75rem}
`

func (s *Server) getStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write([]byte(pageStyle))
}

// showPage writes a page. Its form is sent to this server, then redirects to the application, and from there perhaps
// further. Some browsers check every one of these addresses against the page's policy, so the policy cannot list them.
func (s *Server) showPage(w http.ResponseWriter, status int, page *template.Template, data loginPage) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy",
		"default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' http: https:")
	w.WriteHeader(status)
	_ = page.Execute(w, data) // the caller may have disconnected
}

// errorPage is for a person who cannot be redirected to an application.
func (s *Server) errorPage(w http.ResponseWriter, status int, heading, message string) {
	s.showPage(w, status, errorTemplate, loginPage{Language: "en", Words: pageWords["en"], Heading: heading, Message: message})
}
