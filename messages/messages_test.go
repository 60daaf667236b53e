package messages_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"homeroom/messages"
)

func open(t *testing.T, cfg messages.Config) *messages.Texts {
	t.Helper()
	texts, err := messages.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// folder is a folder with these files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestEveryTextIsInEveryLanguage(t *testing.T) {
	t.Parallel()
	texts := open(t, messages.Config{})
	if got := texts.Languages(); !slices.Equal(got, []string{"en", "de", "es", "fr"}) {
		t.Fatalf("the languages are %v", got)
	}
	if len(texts.IDs()) < 200 {
		t.Fatalf("only %d texts", len(texts.IDs()))
	}
	for _, id := range texts.IDs() {
		english := texts.Placeholders("en", id)
		for _, tag := range texts.Languages() {
			own := texts.Translation(tag, id)
			if strings.TrimSpace(own) == "" || own != strings.TrimSpace(own) {
				t.Errorf("%s: %s is %q", tag, id, own)
			}
			if got := texts.Placeholders(tag, id); !slices.Equal(got, english) {
				t.Errorf("%s: %s has the placeholders %v, English has %v", tag, id, got, english)
			}
		}
	}
}

func TestTheFirstPreferenceThatIsSpokenWins(t *testing.T) {
	t.Parallel()
	texts := open(t, messages.Config{Default: "fr"})
	for name, c := range map[string]struct {
		preferences []string
		want        string
	}{
		"none":                        {nil, "fr"},
		"a tag":                       {[]string{"de"}, "de"},
		"a region":                    {[]string{"de-CH"}, "de"},
		"an underscore":               {[]string{"es_MX"}, "es"},
		"a header":                    {[]string{"en-GB;q=0.5, de;q=0.9"}, "de"},
		"ui_locales":                  {[]string{"nl es en"}, "es"},
		"one that names nothing":      {[]string{"zz-ZZ x_1 es"}, "es"},
		"the same in a header":        {[]string{"zz-ZZ;q=0.9, de;q=0.1, es;q=0.5"}, "es"},
		"the second is spoken":        {[]string{"ja", "de"}, "de"},
		"the first before the second": {[]string{"en", "de"}, "en"},
		"nothing is spoken":           {[]string{"ja, zh;q=0.8"}, "fr"},
		"anything":                    {[]string{"*"}, "fr"},
		"an empty one":                {[]string{"", "en"}, "en"},
		"nonsense":                    {[]string{"\x00;;;q=a,,,", "en"}, "en"},
		"far too much":                {[]string{strings.Repeat("ja,", 100_000), "en"}, "en"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := texts.For(c.preferences...).Tag(); got != c.want {
				t.Errorf("chose %s, not %s", got, c.want)
			}
		})
	}
}

func TestTextsHaveTheirDataAndPlurals(t *testing.T) {
	t.Parallel()
	texts := open(t, messages.Config{})
	german := texts.For("de")
	for _, c := range []struct {
		id   string
		data map[string]any
		want string
	}{
		{"field.too_short", map[string]any{"Limit": 8}, "Verwenden Sie mindestens 8 Zeichen."},
		{"detail.fields", map[string]any{"Count": 1}, "Ein Feld braucht noch einen Blick."},
		{"detail.fields", map[string]any{"Count": 3}, "3 Felder brauchen noch einen Blick."},
		{"no.such.text", nil, "no.such.text"},
	} {
		if got := german.Text(c.id, c.data); got != c.want {
			t.Errorf("%s: %q, not %q", c.id, got, c.want)
		}
	}
	for tag, want := range map[string]string{
		"en": "5 March 2027, 13:07 UTC", "de": "5. März 2027, 13:07 Uhr (UTC)",
		"fr": "5 mars 2027 à 13:07 UTC", "es": "5 de marzo de 2027, a las 13:07 UTC",
	} {
		at := time.Date(2027, 3, 5, 14, 7, 0, 0, time.FixedZone("", 3600))
		if got := texts.For(tag).FormatTime(at); got != want {
			t.Errorf("%s: %q, not %q", tag, got, want)
		}
	}
}

func TestMessagesAreWrittenInALanguage(t *testing.T) {
	t.Parallel()
	german := open(t, messages.Config{}).For("de")
	for _, c := range []struct {
		message         messages.Message
		german, english string
	}{
		{messages.ID("field.password_required"), "Wählen Sie ein Passwort.", "Choose a password."},
		{messages.ID("field.too_long", messages.Args{"Limit": 200}), "Verwenden Sie höchstens 200 Zeichen.", "Use at most 200 characters."},
		{messages.ID("detail.fields", messages.Args{"Count": 1}), "Ein Feld braucht noch einen Blick.", "One field needs another look."},
		{
			messages.ID("detail.school_state", messages.Args{"State": messages.ID("state.suspended")}),
			"Die Schule ist gesperrt.", "The school is suspended.",
		},
		{messages.Verbatim("Password is too weak."), "Password is too weak.", "Password is too weak."},
	} {
		if got := german.Format(c.message); got != c.german {
			t.Errorf("%q, not %q", got, c.german)
		}
		if got := c.message.String(); got != c.english {
			t.Errorf("%q, not %q", got, c.english)
		}
	}
}

func TestAnOperatorChangesTextsAndAddsLanguages(t *testing.T) {
	t.Parallel()
	texts := open(t, messages.Config{Default: "de", Dir: folder(t, map[string]string{
		"de.toml": "[mail]\ngreeting = \"Moin,\"\n",
		"en.toml": "[field]\npassword_required = \"Pick a password.\"\n",
		"it.toml": "[mail]\ngreeting = \"Buongiorno,\"\n",
	})})
	italian := texts.For("it-IT")
	if got := italian.Text("mail.greeting", nil); got != "Buongiorno," {
		t.Errorf("the added language says %q", got)
	}
	if got := italian.Text("page.activation.button", nil); got != "Adresse bestätigen" {
		t.Errorf("what the added language lacks is %q, not in the service's own language", got)
	}
	if got := texts.For().Text("mail.greeting", nil); got != "Moin," {
		t.Errorf("the changed text is %q", got)
	}
	if got := texts.For("en").Format(messages.ID("field.password_required")); got != "Pick a password." {
		t.Errorf("the changed English text is %q", got)
	}
}

func TestMistypedTextsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, text, want string
	}{
		"an id that there is not":    {"de.toml", "[mail]\ngreting = \"x\"", "mail.greting: there is no text with this id"},
		"a placeholder that is not":  {"de.toml", "[mail]\nfooter = \"{{.Prodct}}\"", "there is no placeholder {{.Prodct}}"},
		"a program":                  {"de.toml", "[mail]\nfooter = \"{{if .Product}}x{{end}}\"", "nothing else in braces"},
		"a file that is no TOML":     {"de.toml", "[mail", "read texts of de.toml"},
		"a name that is no language": {"german-texts-here.toml", "[mail]\ngreeting = \"x\"", "no language"},
		"a folder without any text":  {"readme.md", "", "no texts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := messages.New(messages.Config{Dir: folder(t, map[string]string{c.file: c.text})})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, without %q", err, c.want)
			}
		})
	}
	if _, err := messages.New(messages.Config{Default: "it"}); err == nil || !strings.Contains(err.Error(), "de, en, es, fr") {
		t.Errorf("a default that nobody speaks: %v", err)
	}
}
