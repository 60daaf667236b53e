package display

import (
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// JSON writes a value as encoding/json does, and a line break, except that an empty list or map is never null,
// wherever it is in the value, so that a caller can always iterate over it. An empty indent writes one line.
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
