package messages_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"homeroom/catalog"
	"homeroom/internal/problem"
	"homeroom/messages"
)

// speakers are the packages that ask for texts, by their folders.
var speakers = []string{
	"../internal/httpapi", "../internal/problem", "../internal/web", "../admission", "../signup", "../auth0", "../scim", "../beyondidentity",
	"../webhook", "../hosted", "../mail", "../fleet",
}

// code is that of the speakers, tests aside.
func code(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range speakers {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	return all.String()
}

var (
	id       = regexp.MustCompile(`"((?:detail|field|part|next|page|mail)\.[\w.]*\w)"`)
	made     = regexp.MustCompile(`(?s)messages\.ID\("([^"]+)"(\)|, (?:messages\.Args\{(.*?)\}\)|\w+\)))`)
	argument = regexp.MustCompile(`(?:^|[{,\s])"(\w+)":`)
	refusals = regexp.MustCompile(`(?s)\w+Codes = map\[string\]string\{(.*?)\n\}`)
	refusal  = regexp.MustCompile(`: +"(\w+)"`)
)

func TestTheCodeAsksForTextsThatThereAre(t *testing.T) {
	t.Parallel()
	texts := open(t, messages.Config{})
	asked := map[string]bool{}
	for _, match := range id.FindAllStringSubmatch(code(t), -1) {
		asked[match[1]] = true
		known := slices.ContainsFunc([]string{"", "_title", ".title"}, func(part string) bool { return texts.Translation("en", match[1]+part) != "" })
		if !known && !strings.HasSuffix(match[1], ".html") && !strings.HasSuffix(match[1], ".txt") { // templates of mails
			t.Errorf("the code asks for the text %s, which there is not", match[1])
		}
	}
	for _, id := range texts.IDs() {
		section, _, _ := strings.Cut(id, ".")
		if slices.Contains([]string{"detail", "field", "part", "next"}, section) && !asked[id] {
			t.Errorf("nobody asks for the text %s", id)
		}
	}
}

func TestMessagesHaveTheArgumentsOfTheirTexts(t *testing.T) {
	t.Parallel()
	texts := open(t, messages.Config{})
	for _, match := range made.FindAllStringSubmatch(code(t), -1) {
		if match[2] != ")" && !strings.Contains(match[2], "messages.Args{") {
			continue // made elsewhere
		}
		var given []string
		for _, argument := range argument.FindAllStringSubmatch(match[3], -1) {
			given = append(given, argument[1])
		}
		slices.Sort(given)
		if wanted := texts.Placeholders("en", match[1]); !slices.Equal(given, wanted) {
			t.Errorf("%s has the arguments %v, its text has the placeholders %v", match[1], given, wanted)
		}
	}
}

// Only an identity provider's own words are found by their code.
func TestTheCodesOfRefusedPasswordsAreTranslated(t *testing.T) {
	t.Parallel()
	german := open(t, messages.Config{}).For("de")
	found := 0
	for _, codes := range refusals.FindAllStringSubmatch(code(t), -1) {
		for _, code := range refusal.FindAllStringSubmatch(codes[1], -1) {
			found++
			if _, there := german.Lookup("code."+code[1], map[string]any{"Message": "x"}); !there {
				t.Errorf("a password is refused with the code %s, which has no text below [code]", code[1])
			}
		}
	}
	if found < 4 {
		t.Errorf("found only %d codes", found)
	}
}

func TestKindsAndStatesHaveTexts(t *testing.T) {
	t.Parallel()
	texts := open(t, messages.Config{})
	wanted := []string{}
	for _, kind := range problem.Kinds {
		for _, part := range []string{"title", "meaning", "cure"} {
			wanted = append(wanted, "kind."+strings.ToLower(kind.Code)+"."+part)
		}
	}
	for _, state := range []catalog.State{
		catalog.Ready, catalog.Building, catalog.Quarantined, catalog.Suspended, catalog.Deleting, catalog.Deleted,
	} {
		wanted = append(wanted, "state."+string(state))
	}
	for _, state := range []catalog.RunState{
		catalog.RunRunning, catalog.RunPaused, catalog.RunDone, catalog.RunFailed, catalog.RunStopped, catalog.RunAborted,
	} {
		wanted = append(wanted, "state."+string(state))
	}
	for _, id := range wanted {
		if texts.Translation("en", id) == "" {
			t.Errorf("there is no text %s", id)
		}
	}
}
