package display

import (
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// JSON writes a value as encoding/json would, and a line break, except that a list or a map without anything in it is never
// null, wherever in the value it is: a caller may always go through it. An empty indent writes one line.
func JSON(to io.Writer, value any, indent string) error {
	options := []json.Options{
		jsonv1.DefaultOptionsV1(), json.FormatNilSliceAsNull(false), json.FormatNilMapAsNull(false), jsontext.EscapeForHTML(false),
	}
	if indent != "" {
		options = append(options, jsontext.WithIndent(indent))
	}
	text, err := json.Marshal(value, options...)
	if err != nil {
		return err
	}
	_, err = to.Write(append(text, '\n'))
	return err
}
