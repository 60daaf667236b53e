// Package messages holds every text that a person can meet, in every language that Homeroom has.
//
// A text has an id, such as "mail.activation.subject", and may have placeholders, such as {{.Product}}. English is
// the complete list of ids; what another language lacks is written in the service's default language, and then in
// English. An operator may change texts and add languages without touching the program. docs/messages.md describes
// it.
//
// What programs read, such as the codes of errors, is not a text and never changes with the language.
package messages

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/pelletier/go-toml/v2"
	"golang.org/x/text/language"
)

//go:embed texts/*.toml
var embedded embed.FS

// Config chooses the languages.
type Config struct {
	// Dir is a folder with files such as de.toml and it.toml: their texts replace ours, or add a language. Defaults to none.
	Dir string
	// Default is the language of those who do not say what they read. Defaults to "en".
	Default string
}

// Texts are the texts of all languages. They do not change once they are read.
type Texts struct {
	bundle *i18n.Bundle
	// byID are the texts of a language by their ids, to know which there are.
	byID map[language.Tag]map[string]*i18n.Message
	// tags are the languages, the default first; matcher chooses among them.
	tags    []language.Tag
	matcher language.Matcher
	// spoken are the languages' localizers.
	localizers map[language.Tag]Localizer
	// original are our own English texts, with which the others are compared.
	english map[string]*i18n.Message
}

// New reads the texts. It refuses files with ids or placeholders that English does not have: somebody has mistyped one.
func New(cfg Config) (*Texts, error) {
	t := &Texts{bundle: i18n.NewBundle(language.English), byID: map[language.Tag]map[string]*i18n.Message{}}
	t.bundle.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	own, err := fs.Sub(embedded, "texts")
	if err != nil {
		return nil, fmt.Errorf("open texts: %w", err)
	}
	if err := t.load(own, "en.toml"); err != nil { // first: the others are compared with it
		return nil, err
	}
	t.english = maps.Clone(t.byID[language.English])
	if err := t.loadAll(own); err != nil {
		return nil, err
	}
	if cfg.Dir != "" {
		if err := t.loadAll(os.DirFS(cfg.Dir)); err != nil {
			return nil, fmt.Errorf("%s: %w", cfg.Dir, err)
		}
	}
	return t, t.order(cfg.Default)
}

// loadAll reads all files of a folder.
func (t *Texts) loadAll(dir fs.FS) error {
	files, err := fs.Glob(dir, "*.toml")
	if err != nil {
		return fmt.Errorf("list texts: %w", err)
	}
	if len(files) == 0 {
		return fmt.Errorf("no texts: their files are called such as de.toml")
	}
	for _, file := range files {
		if err := t.load(dir, file); err != nil {
			return err
		}
	}
	return nil
}

// load reads a file, whose name is a language, over what was there before.
func (t *Texts) load(dir fs.FS, file string) error {
	tag, err := language.Parse(strings.TrimSuffix(path.Base(file), ".toml"))
	if err != nil {
		return fmt.Errorf("%s: its name is no language: %w", file, err)
	}
	text, err := fs.ReadFile(dir, file)
	if err != nil {
		return fmt.Errorf("read texts: %w", err)
	}
	read, err := t.bundle.ParseMessageFileBytes(text, tag.String()+".toml")
	if err != nil {
		return fmt.Errorf("read texts of %s: %w", file, err)
	}
	if t.byID[tag] == nil {
		t.byID[tag] = map[string]*i18n.Message{}
	}
	for _, message := range read.Messages {
		if t.english != nil {
			if err := compare(t.english[message.ID], message); err != nil {
				return fmt.Errorf("%s: %s: %w", file, message.ID, err)
			}
		}
		t.byID[tag][message.ID] = message
	}
	return nil
}

// order puts the default language first, which is what the matcher falls back to.
func (t *Texts) order(first string) error {
	tag := language.English
	if first != "" {
		var err error
		if tag, err = language.Parse(first); err != nil || t.byID[tag] == nil {
			return fmt.Errorf("no texts in the language %q: there are %s", first, strings.Join(t.names(), ", "))
		}
	}
	t.tags = []language.Tag{tag}
	for _, name := range t.names() {
		if other := language.MustParse(name); other != tag {
			t.tags = append(t.tags, other)
		}
	}
	t.matcher = language.NewMatcher(t.tags)
	t.localizers = map[language.Tag]Localizer{}
	for _, tag := range t.tags {
		t.localizers[tag] = t.in(tag)
	}
	return nil
}

func (t *Texts) names() []string {
	names := make([]string, 0, len(t.byID))
	for tag := range t.byID {
		names = append(names, tag.String())
	}
	slices.Sort(names)
	return names
}

// Languages are the tags of all languages, the service's own first.
func (t *Texts) Languages() []string {
	names := make([]string, len(t.tags))
	for i, tag := range t.tags {
		names[i] = tag.String()
	}
	return names
}
