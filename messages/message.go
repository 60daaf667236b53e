package messages

import "sync"

// Args are the values of a text's placeholders. A value may be a [Message]: it is written in the same language.
type Args map[string]any

// Message is a text that is written later, in the language of whoever reads it.
type Message struct {
	id   string
	args Args
	// foreign is a text of somebody else, such as an identity provider, in whatever language that is.
	verbatim string
}

// ID is the message of a text. Its id is a literal: a test compares all of them, and their arguments, with the texts.
func ID(id string, args ...Args) Message {
	m := Message{id: id}
	if len(args) > 0 {
		m.args = args[0]
	}
	return m
}

// Verbatim is a text from outside, such as an identity provider, which is not translated.
func Verbatim(text string) Message { return Message{verbatim: text} }

// IsVerbatim reports whether the text comes from outside.
func (m Message) IsVerbatim() bool { return m.id == "" }

// IsZero reports whether there is no message.
func (m Message) IsZero() bool { return m.id == "" && m.verbatim == "" }

// String is the message in English, for errors and logs.
func (m Message) String() string { return english().Format(m) }

// english is our own English, without the changes of an operator.
var english = sync.OnceValue(func() Localizer {
	texts, err := New(Config{})
	if err != nil {
		panic(err) // the texts are part of the program
	}
	return texts.For()
})

// Format writes a message in the language.
func (l Localizer) Format(m Message) string {
	if m.IsVerbatim() {
		return m.verbatim
	}
	data := make(map[string]any, len(m.args))
	for name, value := range m.args {
		if part, ok := value.(Message); ok {
			value = l.Format(part)
		}
		data[name] = value
	}
	return l.Text(m.id, data)
}
