package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/danielgtaylor/huma/v2/validation"

	"homeroom/internal/problem"
	"homeroom/messages"
)

type pinnedInput struct {
	Number int    `query:"number" minimum:"1" maximum:"9"`
	Multi  int    `query:"multi" multipleOf:"2"`
	Text   string `query:"text" minLength:"2" maxLength:"4"`
	Choice string `query:"choice" enum:"a,b"`
	Form   string `query:"form" pattern:"^[a-z]+$"`
	Mail   string `query:"mail" format:"email"`
	Flag   bool   `query:"flag"`
	Needed string `query:"needed" required:"true"`
	Header string `header:"X-Needed" required:"true"`
	Body   struct {
		A string `json:"a"`
	}
}

// TestEveryRefusalOfHumaHasItsCode knows all that huma refuses of what our operations use, by what it answers to requests: huma
// tells by a sentence alone which rule was broken.
func TestEveryRefusalOfHumaHasItsCode(t *testing.T) {
	t.Parallel()
	texts, err := messages.New(messages.Config{})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	config := huma.DefaultConfig("pinned", "1")
	config.Formats = map[string]huma.Format{"application/json": strictJSON, "json": strictJSON}
	config.RejectUnknownQueryParameters = true
	config.Transformers = []huma.Transformer{finish}
	api := humago.New(mux, config)
	huma.Register(api, huma.Operation{OperationID: "pinned", Method: http.MethodPost, Path: "/", MaxBodyBytes: 1<<10 + 1},
		func(context.Context, *pinnedInput) (*struct{}, error) { return nil, nil })
	for name, c := range map[string]struct{ query, header, body, want string }{
		"below the least":        {"needed=x&number=0", "x", `{"a":"b"}`, `"number","code":"out_of_range","message":"Out of range: expected number \u003e= 1."`},
		"above the most":         {"needed=x&number=10", "x", `{"a":"b"}`, `"number","code":"out_of_range","message":"Out of range: expected number \u003c= 9."`},
		"no multiple":            {"needed=x&multi=3", "x", `{"a":"b"}`, `"multi","code":"out_of_range"`},
		"no number":              {"needed=x&number=x", "x", `{"a":"b"}`, `"number","code":"wrong_type","message":"Use a whole number."`},
		"a fraction":             {"needed=x&number=1.5", "x", `{"a":"b"}`, `"number","code":"wrong_type"`},
		"too short":              {"needed=x&text=a", "x", `{"a":"b"}`, `"text","code":"too_short","message":"Too short: expected length \u003e= 2."`},
		"too long":               {"needed=x&text=abcde", "x", `{"a":"b"}`, `"text","code":"too_long","message":"Too long: expected length \u003c= 4."`},
		"no choice":              {"needed=x&choice=secret", "x", `{"a":"b"}`, `"choice","code":"invalid_choice","message":"Unknown choice: expected value to be one of \"a, b\"."`},
		"another form":           {"needed=x&form=SECRET", "x", `{"a":"b"}`, `"form","code":"invalid_format","message":"This is not in the expected form."`},
		"no address":             {"needed=x&mail=secret", "x", `{"a":"b"}`, `"mail","code":"invalid_format","message":"This is not in the expected form."`},
		"no flag":                {"needed=x&flag=secret", "x", `{"a":"b"}`, `"flag","code":"invalid_format"`},
		"a parameter missing":    {"", "x", `{"a":"b"}`, `"needed","code":"required","message":"This parameter is needed."`},
		"a header missing":       {"needed=x", "", `{"a":"b"}`, `"X-Needed","code":"required"`},
		"an unknown parameter":   {"needed=x&secret=1", "x", `{"a":"b"}`, `"secret","code":"unknown_field","message":"There is no such parameter."`},
		"no body":                {"needed=x", "x", "", "The body is empty. Send a JSON object."},
		"a body that ends":       {"needed=x", "x", `{"a"`, "The body ends too early, near byte 4."},
		"a member twice":         {"needed=x", "x", `{"a":"b","a":"c"}`, "The body names a member twice, near byte"},
		"a body that is deep":    {"needed=x", "x", strings.Repeat("[", 20) + strings.Repeat("]", 20), "The body is nested too deeply."},
		"a body that is long":    {"needed=x", "x", `{"a":"` + strings.Repeat("b", 2<<10) + `"}`, "The body may have at most 1 KiB."},
		"a type that is no body": {"needed=x", "x", "secret", "The body is not JSON, near byte"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/?"+c.query, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			if c.header != "" {
				r.Header.Set("X-Needed", c.header)
			}
			about := &problem.Request{Language: func() messages.Localizer { return texts.For("en") }}
			answer := httptest.NewRecorder()
			mux.ServeHTTP(answer, r.WithContext(problem.WithRequest(r.Context(), about)))
			got := strings.NewReplacer("<", `\u003c`, ">", `\u003e`).Replace(answer.Body.String())
			if !strings.Contains(got, c.want) {
				t.Errorf("%d %s\nlacks %s", answer.Code, got, c.want)
			}
			if name != "an unknown parameter" && strings.Contains(strings.ToLower(got), "secret") {
				t.Errorf("the answer repeats the value: %s", got)
			}
		})
	}
	for text, want := range map[string]string{
		validation.MsgExpectedMinimumNumber: "out_of_range", validation.MsgExpectedMaximumNumber: "out_of_range",
		validation.MsgExpectedExclusiveMinimumNumber: "out_of_range", validation.MsgExpectedExclusiveMaximumNumber: "out_of_range",
		validation.MsgExpectedNumberBeMultipleOf: "out_of_range", validation.MsgExpectedMinLength: "too_short",
		validation.MsgExpectedMaxLength: "too_long", validation.MsgExpectedOneOf: "invalid_choice", validation.MsgExpectedInteger: "wrong_type",
		validation.MsgExpectedMatchPattern: "invalid_format", validation.MsgExpectedRFC4122UUID: "invalid_format",
	} {
		if code, _ := parameterMessage(text); code != want {
			t.Errorf("%q has the code %s, not %s", text, code, want)
		}
	}
}
