package httpapi

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"homeroom/internal/display"
	"homeroom/internal/problem"
	"homeroom/messages"
)

// deepest is the deepest nesting of the JSON of a request. Requests of this API have one level.
const maxDepth = 8

// strictJSON reads requests: one value in UTF-8, no member twice, nothing after it. encoding/json would use the last
// of two members, names in any letter case, and invalid bytes as if they were characters, so that a proxy in front of
// the service could have understood another request. It writes empty lists as [], not null.
var strictJSON = huma.Format{
	Marshal:   func(w io.Writer, value any) error { return display.JSON(w, value, "") },
	Unmarshal: readStrictly,
}

// malformed says why a body cannot be read: the id of a message, and the byte near which reading stopped where it is
// known. huma only passes the text on; see malformedBody.
type malformed string

// Error implements error.
func (m malformed) Error() string { return string(m) }

// readStrictly fails with a malformed.
func readStrictly(data []byte, into any) error {
	decoder := jsontext.NewDecoder(strings.NewReader(string(data)))
	for {
		_, err := decoder.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return malformed(fmt.Sprintf("%s %d", syntaxID(err), decoder.InputOffset()))
		}
		if decoder.StackDepth() > maxDepth {
			return malformed("detail.body_deep")
		}
	}
	if err := json.Unmarshal(data, into); err != nil {
		if errors.Is(err, errNotObject) {
			return malformed("detail.body_no_object")
		}
		return malformed("detail.body_no_value")
	}
	return nil
}

func syntaxID(err error) string {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return "part.json_duplicate"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "part.json_short"
	case strings.Contains(err.Error(), "UTF-8"), strings.Contains(err.Error(), "surrogate"):
		return "part.json_utf8"
	}
	return "part.json_none"
}

var errNotObject = errors.New("not an object")

// object is a JSON object whose members are read one by one. It collects their errors, so that callers get all of
// them at once.
type object struct {
	members map[string]jsontext.Value
	names   []string
	wrong   []problem.Field
}

// readObject splits the text of an object that strictJSON has checked.
func readObject(text []byte) (*object, error) {
	decoder := jsontext.NewDecoder(strings.NewReader(string(text)))
	if token, err := decoder.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, errNotObject
	}
	o := &object{members: map[string]jsontext.Value{}}
	for decoder.PeekKind() == '"' {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil, errNotObject
		}
		name := token.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, errNotObject
		}
		o.names = append(o.names, name)
		o.members[name] = value.Clone()
	}
	return o, nil
}

// members are the members of a body, which its UnmarshalJSON reads one by one. Their errors are stored for the
// handler, so that callers get all of them at once. A body embeds it.
type members struct{ wrong []problem.Field }

// read splits the text of an object and reads its members.
func (m *members) read(text []byte, take func(*object)) error {
	o, err := readObject(text)
	if err != nil {
		return err
	}
	take(o)
	m.wrong = o.end()
	return nil
}

// invalid returns the problem of the invalid members; nil where there are none.
func (m *members) invalid() error {
	if len(m.wrong) == 0 {
		return nil
	}
	return problem.Invalid(m.wrong...)
}

// has reports whether there is a member of this name that has not been read.
func (o *object) has(name string) bool {
	_, there := o.members[name]
	return there
}

// text reads a member that is a string; without it, the text is empty.
func (o *object) text(name string) string {
	var text string
	o.take(name, '"', &text, messages.ID("field.string"))
	return text
}

// flag reads a member that is true or false; without it, the flag is false.
func (o *object) flag(name string) bool {
	var flag bool
	o.take(name, 't', &flag, messages.ID("field.boolean"))
	return flag
}

// list reads a member that is a list of strings; without it, the list is nil.
func (o *object) list(name string) []string {
	var list []string
	o.take(name, '[', &list, messages.ID("field.strings"))
	return list
}

// number reads a member that is a whole number within bounds; without it, it is nil.
func (o *object) number(name string, least, most int) *int {
	if _, there := o.members[name]; !there {
		return nil
	}
	wrong := len(o.wrong)
	var n int
	o.take(name, '0', &n, messages.ID("field.whole_number"))
	if len(o.wrong) == wrong && (n < least || n > most) {
		o.wrong = append(o.wrong, problem.Field{
			Field: name, Code: "out_of_range", Message: messages.ID("field.number_range", messages.Args{"Least": least, "Most": most}),
		})
	}
	return &n
}

func (o *object) take(name string, kind jsontext.Kind, into any, advice messages.Message) {
	value, ok := o.members[name]
	if !ok {
		return
	}
	delete(o.members, name)
	found := value.Kind()
	if found == 'f' {
		found = 't'
	}
	if found != kind || json.Unmarshal(value, into) != nil {
		o.wrong = append(o.wrong, problem.Field{Field: name, Code: "wrong_type", Message: advice})
	}
}

// end refuses the members that were not read, in their order, and returns all errors.
func (o *object) end() []problem.Field {
	for _, name := range o.names {
		if _, left := o.members[name]; left {
			o.wrong = append(o.wrong, problem.Field{Field: shorten(name), Code: "unknown_field", Message: messages.ID("field.unknown_field")})
		}
	}
	return o.wrong
}

// shorten limits the length of a name from a request in the answer.
func shorten(name string) string {
	const longest = 64
	if runes := []rune(name); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return name
}
