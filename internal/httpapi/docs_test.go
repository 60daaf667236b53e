package httpapi_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

// pages are the routes that are no operations of the API.
var pages = []string{"/", "/openapi.json", "/docs", "/docs/style.css", "/docs/elements.js", "/docs/elements.css", "/activate", "/invitation", "/register/status/{id}", "/ui/*file"}

// openAPI reads the document.
func openAPI(t *testing.T, w *world) map[string]any {
	t.Helper()
	r := w.call("GET", "/openapi.json", "")
	equal(t, 200, r.Status)
	equal(t, "application/json", r.Header.Get("Content-Type"))
	return r.json(t)
}

// operations calls f for every operation of the document.
func operations(doc map[string]any, f func(method, path string, op map[string]any)) {
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			f(strings.ToUpper(method), path, op.(map[string]any))
		}
	}
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	doc := openAPI(t, w)
	equal(t, "3.1.0", doc["openapi"])

	t.Run("has every route", func(t *testing.T) {
		documented := map[string]bool{}
		operations(doc, func(method, path string, _ map[string]any) { documented[method+" "+path] = true })
		parameter := regexp.MustCompile(`:(\w+)`)
		for _, route := range w.handler.(*gin.Engine).Routes() {
			path := parameter.ReplaceAllString(route.Path, "{$1}")
			if !slices.Contains(pages, path) && !strings.HasPrefix(path, "/problems/") {
				truth(t, documented[strings.Replace(route.Method, "HEAD", "GET", 1)+" "+path], "not documented: ", route.Method, " ", path)
			}
		}
		truth(t, len(documented) >= 10, documented)
	})
	t.Run("says where the service is, and who may use what", func(t *testing.T) {
		server := doc["servers"].([]any)[0].(map[string]any)
		equal(t, "/", server["url"], "the address from which the document was fetched")
		schemes := doc["components"].(map[string]any)["securitySchemes"].(map[string]any)
		operations(doc, func(method, path string, op map[string]any) {
			needs, said := op["security"].([]any)
			truth(t, said, method, path)
			route := method + " " + strings.NewReplacer("{", ":", "}", "").Replace(path)
			equal(t, slices.Contains(public, route), len(needs) == 0, method, path)
			for _, need := range needs {
				for scheme := range need.(map[string]any) {
					truth(t, schemes[scheme] != nil, scheme)
				}
			}
			refusals := func(status string) bool { return strings.HasPrefix(status, "4") }
			truth(t, slices.ContainsFunc(slices.Collect(maps.Keys(op["responses"].(map[string]any))), refusals), "no refusal: ", method, path)
		})
		other := setup(t, options{noSpare: true, api: func(c *config) { c.PublicURL = "https://homeroom.lincoln.example" }})
		equal(t, "https://homeroom.lincoln.example", openAPI(t, other)["servers"].([]any)[0].(map[string]any)["url"])
	})
	t.Run("says what everything is", func(t *testing.T) {
		ids := map[string]bool{}
		operations(doc, func(method, path string, op map[string]any) {
			id, _ := op["operationId"].(string)
			truth(t, id != "" && !ids[id], "operation id of ", path)
			ids[id] = true
			truth(t, op["summary"] != nil && op["description"] != nil && op["tags"] != nil, method, path)
			for status, response := range op["responses"].(map[string]any) {
				truth(t, response.(map[string]any)["description"] != "", path, status)
				if status >= "4" && path == authPath {
					content := response.(map[string]any)["content"].(map[string]any)
					equal(t, 1, len(content), status)
					equal(t, "#/components/schemas/AuthFailure", content["application/json"].(map[string]any)["schema"].(map[string]any)["$ref"])
				} else if status >= "4" {
					content := response.(map[string]any)["content"].(map[string]any)["application/problem+json"].(map[string]any)
					equal(t, "#/components/schemas/Problem", content["schema"].(map[string]any)["$ref"])
				}
			}
		})
	})
	t.Run("has no broken reference, and no key instead of a text", func(t *testing.T) {
		text, err := json.Marshal(doc)
		check(t, err)
		schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
		for _, match := range regexp.MustCompile(`"#/components/schemas/([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
			truth(t, schemas[match[1]] != nil, "no schema ", match[1])
		}
		equal(t, []string(nil), regexp.MustCompile(`"description":"@[^"]*"`).FindAllString(string(text), -1), "keys without a text")
	})
	t.Run("describes the sign-up as it is", func(t *testing.T) {
		op := doc["paths"].(map[string]any)["/users"].(map[string]any)["post"].(map[string]any)
		for _, status := range []string{"201", "202", "400", "409", "413", "415", "422", "429", "500", "503"} {
			truth(t, op["responses"].(map[string]any)[status] != nil, "no ", status)
		}
		schema := doc["components"].(map[string]any)["schemas"].(map[string]any)["NewUser"].(map[string]any)
		equal(t, false, schema["additionalProperties"])
		equal(t, []any{"email", "password"}, schema["required"], "an invitation may name the school")
		equal(t, []any{map[string]any{"required": []any{"schoolName"}}, map[string]any{"required": []any{"invitation"}}}, schema["anyOf"])
		password := schema["properties"].(map[string]any)["password"].(map[string]any)
		equal(t, "string", password["type"])
		equal(t, float64(8), password["minLength"])
		equal(t, float64(72), password["maxLength"])
		equal(t, "string", schema["properties"].(map[string]any)["email"].(map[string]any)["type"])
	})
}

func TestPages(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	const policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	t.Run("the documentation loads nothing from elsewhere, also below a path", func(t *testing.T) {
		r := w.call("GET", "/docs", "", "Accept: text/html")
		equal(t, 200, r.Status)
		equal(t, "text/html; charset=utf-8", r.Header.Get("Content-Type"))
		rules := r.Header.Get("Content-Security-Policy")
		holds(t, rules, "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-", "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		lacks(t, rules, "unsafe", ":", "*")
		lacks(t, r.Body, "://", `="/`, "style=", "<script>")
		for _, match := range regexp.MustCompile(`(?:href|src|Url)="([^"]+)"`).FindAllStringSubmatch(r.Body, -1) {
			equal(t, 200, w.call("GET", "/"+match[1], "").Status, match[1])
		}
		holds(t, r.Body, `apiDescriptionUrl="openapi.json"`)
	})
	t.Run("what draws the documentation is sent compressed to those who take that", func(t *testing.T) {
		for path, contentType := range map[string]string{"/docs/elements.js": "text/javascript; charset=utf-8", "/docs/elements.css": "text/css; charset=utf-8"} {
			packed := w.call("GET", path, "", "Accept-Encoding: gzip")
			equal(t, "gzip", packed.Header.Get("Content-Encoding"))
			reader, err := gzip.NewReader(strings.NewReader(packed.Body))
			check(t, err)
			text, err := io.ReadAll(reader)
			check(t, err)
			plain := w.call("GET", path, "", "Accept-Encoding: identity")
			equal(t, "", plain.Header.Get("Content-Encoding"))
			equal(t, contentType, plain.Header.Get("Content-Type"))
			truth(t, plain.Body == string(text) && len(text) > 3*len(packed.Body), path)
		}
	})
	t.Run("every kind of error has a page", func(t *testing.T) {
		list := regexp.MustCompile(`href="(/problems/[a-z-]+)"`).FindAllStringSubmatch(w.call("GET", "/problems/validation-error", "", "Accept: text/html").Body, -1)
		equal(t, 24, len(list))
		for _, match := range list {
			page := w.call("GET", match[1], "", "Accept: text/html,*/*")
			equal(t, 200, page.Status)
			equal(t, policy, page.Header.Get("Content-Security-Policy"))
			holds(t, page.Body, "What to do", "What it means")
			program := w.call("GET", match[1], "", "Accept: application/json").json(t)
			equal(t, match[1], program["type"])
			truth(t, program["cure"] != "" && program["meaning"] != "", program)
			text := w.call("GET", match[1], "")
			equal(t, "text/plain; charset=utf-8", text.Header.Get("Content-Type"))
			holds(t, text.Body, fmt.Sprint(program["code"]), "What to do: ")
		}
		equal(t, 404, w.call("GET", "/problems/unheard-of", "").Status)
	})
}
