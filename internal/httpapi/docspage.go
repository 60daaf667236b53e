package httpapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// docsPage is what the page of the documentation shows: the OpenAPI document in the order in which people read.
type docsPage struct {
	Title, Version string
	Intro          template.HTML
	Groups         []docsGroup
	Kinds          []*kind
}

type docsGroup struct {
	Name, ID string
	Intro    template.HTML
	Calls    []docsCall
}

// docsCall is an operation.
type docsCall struct {
	ID, Method, Path, Summary string
	Text                      template.HTML
	Token                     bool
	Parameters                []docsField
	Body                      []docsField
	Example                   string
	Answers                   []docsAnswer
}

type docsField struct {
	Name, In, Type string
	Required       bool
	Text           template.HTML
}

type docsAnswer struct {
	Status string
	Good   bool
	Text   template.HTML
	Fields []docsField
}

func newDocsPage(doc *huma.OpenAPI, operations []*huma.Operation) docsPage {
	page := docsPage{Title: doc.Info.Title, Version: doc.Info.Version, Intro: prose(doc.Info.Description), Kinds: kinds}
	for _, tag := range doc.Tags {
		group := docsGroup{Name: tag.Name, ID: strings.ToLower(tag.Name), Intro: prose(tag.Description)}
		for _, op := range operations {
			if slices.Contains(op.Tags, tag.Name) {
				group.Calls = append(group.Calls, newDocsCall(doc, op))
			}
		}
		page.Groups = append(page.Groups, group)
	}
	return page
}

func newDocsCall(doc *huma.OpenAPI, op *huma.Operation) docsCall {
	call := docsCall{
		ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Text: prose(op.Description), Token: len(op.Security) > 0,
	}
	for _, p := range op.Parameters {
		call.Parameters = append(call.Parameters, docsField{
			Name: p.Name, In: p.In, Type: typeOf(doc, p.Schema), Required: p.Required, Text: prose(cmp.Or(p.Description, p.Schema.Description)),
		})
	}
	body := map[string]any{}
	if op.RequestBody != nil {
		schema := resolve(doc, op.RequestBody.Content["application/json"].Schema)
		call.Body = fieldsOf(doc, schema)
		if len(schema.OneOf) > 0 {
			schema = resolve(doc, schema.OneOf[0])
		}
		for name, property := range schema.Properties {
			if len(property.Examples) > 0 {
				body[name] = property.Examples[0]
			}
		}
	}
	call.Example = curl(op, body)
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		response := op.Responses[status]
		answer := docsAnswer{Status: status, Good: status < "4", Text: prose(response.Description)}
		if media := response.Content["application/json"]; media != nil && answer.Good {
			answer.Fields = fieldsOf(doc, resolve(doc, media.Schema))
		}
		call.Answers = append(call.Answers, answer)
	}
	return call
}

// fieldsOf lists the members of an object, the needed ones first, those of nested objects after a dot.
func fieldsOf(doc *huma.OpenAPI, schema *huma.Schema) []docsField {
	var fields []docsField
	for _, choice := range schema.OneOf {
		fields = append(fields, fieldsOf(doc, resolve(doc, choice))...)
	}
	names := slices.Sorted(maps.Keys(schema.Properties))
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Compare(rank(schema, a), rank(schema, b))
	})
	for _, name := range names {
		property := schema.Properties[name]
		fields = append(fields, docsField{
			Name: name, Type: typeOf(doc, property), Required: slices.Contains(schema.Required, name), Text: prose(property.Description),
		})
		nested := resolve(doc, property)
		for _, inner := range fieldsOf(doc, nested) {
			inner.Name = name + "." + inner.Name
			fields = append(fields, inner)
		}
	}
	return fields
}

func rank(schema *huma.Schema, name string) int {
	if slices.Contains(schema.Required, name) {
		return 0
	}
	return 1
}

func resolve(doc *huma.OpenAPI, schema *huma.Schema) *huma.Schema {
	for schema.Ref != "" {
		schema = doc.Components.Schemas.SchemaFromRef(schema.Ref)
	}
	return schema
}

// typeOf is a schema's type in a few words.
func typeOf(doc *huma.OpenAPI, schema *huma.Schema) string {
	schema = resolve(doc, schema)
	words := []string{schema.Type}
	if schema.Type == huma.TypeArray && schema.Items != nil {
		words = []string{"list of " + resolve(doc, schema.Items).Type + "s"}
	}
	if schema.Format != "" && schema.Type == huma.TypeString {
		words = append(words, schema.Format)
	}
	switch {
	case schema.MinLength != nil && schema.MaxLength != nil:
		words = append(words, fmt.Sprintf("%d–%d characters", *schema.MinLength, *schema.MaxLength))
	case schema.MaxLength != nil:
		words = append(words, fmt.Sprintf("≤ %d characters", *schema.MaxLength))
	case schema.Minimum != nil && schema.Maximum != nil:
		words = append(words, fmt.Sprintf("%v–%v", *schema.Minimum, *schema.Maximum))
	case len(schema.Enum) > 0:
		words = append(words, strings.Trim(strings.ReplaceAll(fmt.Sprint(schema.Enum), " ", " · "), "[]"))
	}
	return strings.Join(words, ", ")
}

// curl is a call to try.
func curl(op *huma.Operation, body map[string]any) string {
	path := op.Path
	for _, p := range op.Parameters {
		if len(p.Schema.Examples) == 0 {
			continue
		}
		example := url.PathEscape(fmt.Sprint(p.Schema.Examples[0]))
		if p.In == "path" {
			path = strings.ReplaceAll(path, "{"+p.Name+"}", example)
		}
		if p.In == "query" && p.Required {
			path += "?" + p.Name + "=" + example
		}
	}
	line := "curl"
	if op.Responses["200"] != nil && op.Responses["200"].Content["text/event-stream"] != nil {
		line += " -N"
	}
	line += " $HOMEROOM" + path
	if len(op.Security) > 0 {
		line += " \\\n  -H \"Authorization: Bearer $TOKEN\""
	}
	if len(body) > 0 {
		text, err := json.Marshal(body)
		if err != nil {
			return line // an example that is no JSON; the document's own test would have failed
		}
		line += " \\\n  -H 'Content-Type: application/json' \\\n  -d '" + string(text) + "'"
	} else if op.Method == "POST" {
		line += " -X POST"
	}
	return line
}
