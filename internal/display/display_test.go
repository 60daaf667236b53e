package display_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"

	"homeroom/internal/display"
)

func TestControlCharactersAreEscaped(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Škola 東京 🏫":           "Škola 東京 🏫",
		"نوشته\u200cها":        "نوشته\u200cها", // a joiner that Persian needs
		`C:\n`:                 `C:\n`,
		"\x1b]0;owned\a":       `\u001b]0;owned\u0007`,
		"\u009b2J":             `\u009b2J`, // the one-character form of ESC [
		"a\nb\tc\rd\x7f":       `a\u000ab\u0009c\u000dd\u007f`,
		"a\u202eb\u2066\u200f": `a\u202eb\u2066\u200f`,
		"a\u2028b":             `a\u2028b`,
		"a\xffb":               `a\ufffdb`,
	} {
		if got := display.Text(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestACellIsNeverAFormula(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "-": "-", "Ada": "Ada", "a=b": "a=b", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@sum(a1)": "'@sum(a1)", "\tx": `'\u0009x`,
		"\r=x": `'\u000d=x`,
	} {
		if got := display.Cell(text); got != want {
			t.Errorf("the cell of %q is %q, want %q", text, got, want)
		}
	}
}

// TestAWriterEscapesWhatIsCutAnywhere writes the text in pieces of every size.
func TestAWriterEscapesWhatIsCutAnywhere(t *testing.T) {
	t.Parallel()
	const text = "one\ttwo\nŠ東🏫\u009b\x1b[2J\u202e end\n"
	const want = "one\ttwo\nŠ東🏫\\u009b\\u001b[2J\\u202e end\n"
	for size := 1; size <= len(text); size++ {
		var out bytes.Buffer
		if _, err := io.CopyBuffer(struct{ io.Writer }{display.Writer(&out)}, struct{ io.Reader }{strings.NewReader(text)}, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if out.String() != want || !utf8.ValidString(out.String()) {
			t.Errorf("in pieces of %d: %q", size, out.String())
		}
	}
	var out bytes.Buffer
	if display.Unwrap(display.Writer(&out)) != io.Writer(&out) || display.Unwrap(&out) != io.Writer(&out) {
		t.Error("Unwrap does not return the writer behind it")
	}
}

type nested struct {
	List     []string            `json:"list"`
	Map      map[uint][]string   `json:"map"`
	Inner    []inner             `json:"inner"`
	Omitted  []string            `json:"omitted,omitempty"`
	None     *string             `json:"none"`
	False    bool                `json:"false,omitempty"`
	ID       uuid.UUID           `json:"id"`
	Raw      json.RawMessage     `json:"raw"`
	Any      any                 `json:"any"`
	Versions map[string][]string `json:"versions"`
}

type inner struct {
	List []int `json:"list"`
}

func TestListsAreNeverNull(t *testing.T) {
	t.Parallel()
	value := nested{Inner: []inner{{}}, Raw: json.RawMessage(`[1]`), Any: []string(nil), Versions: map[string][]string{"1": nil}}
	for name, c := range map[string]struct {
		value        any
		indent, want string
	}{
		"a list":  {[]string(nil), "", "[]"},
		"a map":   {map[string]int(nil), "", "{}"},
		"a field": {inner{}, "  ", "{\n  \"list\": []\n}"},
		"everywhere": {value, "", `{"list":[],"map":{},"inner":[{"list":[]}],"none":null,` +
			`"id":"00000000-0000-0000-0000-000000000000","raw":[1],"any":[],"versions":{"1":[]}}`},
		"what HTML would need": {"<&>", "", `"<&>"`},
	} {
		var out bytes.Buffer
		if err := display.JSON(&out, c.value, c.indent); err != nil || out.String() != c.want+"\n" {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, out.String(), c.want)
		}
	}
}
