package httpapi_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"homeroom/catalog"
	"homeroom/messages"
)

func TestErrorsSpeakTheCallersLanguage(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	json := "Content-Type: application/json"
	fields := func(r reply) map[string]string {
		said := map[string]string{}
		for _, field := range r.json(t)["errors"].([]any) {
			field := field.(map[string]any)
			said[field["field"].(string)+" "+field["code"].(string)] = field["message"].(string)
		}
		return said
	}
	t.Run("fields, with their numbers", func(t *testing.T) {
		r := w.call("POST", "/users", `{"email":"ada","password":"short","schoolName":"L","extra":1}`, json, "Accept-Language: fr;q=0.4, de-AT")
		equal(t, 422, r.Status)
		equal(t, "de", r.Header.Get("Content-Language"))
		truth(t, slices.Contains(r.Header.Values("Vary"), "Accept-Language"), r.Header)
		equal(t, "Ungültige Eingabe", r.json(t)["title"])
		equal(t, "VALIDATION_ERROR", r.json(t)["code"])
		equal(t, "4 Felder brauchen noch einen Blick.", r.json(t)["detail"])
		equal(t, map[string]string{
			"email invalid_format": "Geben Sie eine E-Mail-Adresse wie ada@lincoln.example ein. Das @ fehlt.",
			"password too_short":   "Verwenden Sie mindestens 8 Zeichen.",
			"schoolName too_short": "Verwenden Sie mindestens 2 Zeichen.",
			"extra unknown_field":  "Dieses Feld gibt es nicht.",
		}, fields(r))
	})
	t.Run("one field", func(t *testing.T) {
		r := w.call("POST", "/users", `{"email":"ada@lincoln.example","schoolName":"Lincoln High"}`, json, "Accept-Language: es")
		equal(t, "Hay un campo que revisar.", r.json(t)["detail"])
		equal(t, map[string]string{"password required": "Elija una contraseña."}, fields(r))
	})
	t.Run("what the identity provider says is quoted", func(t *testing.T) {
		body := `{"email":"ada@lincoln.example","password":"password1","schoolName":"Lincoln High"}`
		german := fields(w.call("POST", "/users", body, json, "Accept-Language: de"))
		english := fields(w.call("POST", "/users", body, json))
		equal(t, 1, len(english))
		for code, text := range english {
			holds(t, german[code], "Der Anmeldedienst sagt dazu: "+text)
			holds(t, german[code], "Dieses Passwort ")
		}
	})
	t.Run("where no operation is involved", func(t *testing.T) {
		equal(t, "Il n’y a rien à ce chemin. Voyez /docs pour savoir ce qui existe.", w.call("GET", "/nothing", "", "Accept-Language: fr").json(t)["detail"])
		equal(t, "Nicht angemeldet", w.call("GET", "/tenants", "", "Accept-Language: de").json(t)["title"])
	})
	t.Run("English without a preference, or with an unknown one", func(t *testing.T) {
		for _, params := range []string{"X-Nothing: 1", "Accept-Language: ja", "Accept-Language: *", "Accept-Language: en-GB"} {
			r := w.call("GET", "/nothing", "", params)
			equal(t, "en", r.Header.Get("Content-Language"))
			equal(t, "There is nothing at this path. See /docs for what there is.", r.json(t)["detail"])
		}
	})
	t.Run("an answer that says nothing to people has no language", func(t *testing.T) {
		equal(t, "", w.call("GET", "/livez", "", "Accept-Language: de").Header.Get("Content-Language"))
	})
}

func TestPagesOfErrorsSpeakTheReadersLanguage(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	page := w.call("GET", "/problems/not-found", "", "Accept: text/html", "Accept-Language: de")
	holds(t, page.Body, `<html lang="de">`, "<h1>Nicht gefunden</h1>", "Was zu tun ist", ">Ausgelastet</a>")
	lacks(t, page.Body, "What it means", "Not found")
	equal(t, "de", page.Header.Get("Content-Language"))
	equal(t, []string{"Accept-Language", "Accept"}, page.Header.Values("Vary"))
	program := w.call("GET", "/problems/not-found", "", "Accept: application/json", "Accept-Language: es").json(t)
	equal(t, "No encontrado", program["title"])
	equal(t, "NOT_FOUND", program["code"])
	holds(t, w.call("GET", "/problems/not-found", "", "Accept-Language: fr").Body, "Introuvable (404 NOT_FOUND)", "Ce qu’il faut faire: ")
}

func TestAnOperatorsOwnTexts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "en.toml"), []byte("[detail]\nno_path = \"Nothing here.\"\n"), 0o600))
	texts, err := messages.New(messages.Config{Dir: dir})
	check(t, err)
	w := setup(t, options{noSpare: true, api: func(c *config) { c.Texts = texts }})
	equal(t, "Nothing here.", w.call("GET", "/nothing", "").json(t)["detail"])
}

func TestCORSKeepsItsOwnVary(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: func(c *config) { c.AllowedOrigins = []string{"https://app.lincoln.example"} }})
	r := w.call("GET", "/tenants", "", "Accept-Language: de")
	equal(t, http.StatusUnauthorized, r.Status)
	vary := strings.Join(r.Header.Values("Vary"), ", ")
	holds(t, vary, "Origin", "Accept-Language")
}

// TestALinksLanguageDecidesThePages: the simulator's pages are in its own languages; these are ours.
func TestALinksLanguageDecidesThePages(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{api: func(c *config) {
		c.pages.HostedRate = &catalog.Allowance{Count: 12, Window: time.Hour}
	}}, nil)
	wants := func(language, path string) {
		t.Helper()
		if page := v.browser.Get(front + path); page.Language() != language {
			t.Errorf("%s came in %q: %s", path, page.Language(), page.Text())
		}
	}
	pages := []string{
		"/activate?token=x", "/invitation?token=x", "/callback?code=x&state=y", "/register/status/x", "/register?return_to=x", "/register?school_name=x",
	}
	for _, page := range pages {
		wants("en", page)
	}
	for i, c := range []struct{ asked, language string }{
		{"fr-CA", "fr"}, {"zz-ZZ x_1 ja de-CH fr", "de"}, {"es", "es"}, {"fr-CA fr en", "fr"},
	} {
		separator := map[bool]string{true: "&", false: "?"}[strings.Contains(pages[i], "?")]
		wants(c.language, pages[i]+separator+"ui_locales="+url.QueryEscape(c.asked))
		for _, page := range pages[:4] { // later ones, without it
			wants(c.language, page)
		}
	}
	wants("fr", "/activate?token=x&ui_locales=ja") // which we do not speak
	wants("fr", "/activate?token=x&ui_locales=%3Cscript%3E")
	wants("en", "/callback?code=x&state=y&ui_locales=en")
	for range 20 { // until it is too often
		v.browser.Get(front + "/register?return_to=x")
	}
	page := v.browser.Get(front + "/register?ui_locales=fr-CA")
	equal(t, http.StatusTooManyRequests, page.Status)
	equal(t, "fr", page.Language())
	equal(t, "Trop de requêtes", page.Heading())
	equal(t, http.StatusNotFound, v.call("GET", "/register/status/x", "", "Accept-Language: es").Status)
}
