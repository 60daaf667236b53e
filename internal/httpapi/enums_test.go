package httpapi_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"homeroom/fleet"
	"homeroom/identity"
	"homeroom/internal/httpapi"
	"homeroom/signup"
)

// constants are the values of all constants of a type, sorted, as the Go files of a directory declare them.
func constants(t *testing.T, dir, typeName string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	check(t, err)
	var values []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		check(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if of, ok := spec.Type.(*ast.Ident); ok && of.Name == typeName {
				value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				check(t, err)
				values = append(values, value)
			}
			return false
		})
	}
	slices.Sort(values)
	return values
}

// enumAt is the sorted enum of a member of a schema of the document.
func enumAt(t *testing.T, doc map[string]any, schema, member string) []string {
	t.Helper()
	found := doc["components"].(map[string]any)["schemas"].(map[string]any)[schema].(map[string]any)["properties"].(map[string]any)[member]
	return texts(found)
}

// texts is the sorted enum of a schema.
func texts(schema any) []string {
	list, _ := schema.(map[string]any)["enum"].([]any)
	values := make([]string, len(list))
	for i, value := range list {
		values[i] = value.(string)
	}
	slices.Sort(values)
	return values
}

func TestTheDocumentListsEveryValueThatTheCodeDefines(t *testing.T) {
	t.Parallel()
	doc := openAPI(t, setup(t, options{noSpare: true}))
	for _, c := range []struct{ schema, member, dir, typeName string }{
		{"Tenant", "status", "../../catalog", "State"},
		{"TenantDetails", "problemKind", "../../catalog", "QuarantineKind"},
		{"Signup", "status", "../../catalog", "Status"},
		{"Accepted", "status", "../../catalog", "Status"},
		{"Migration", "state", "../../catalog", "RunState"},
		{"WebhookDelivery", "state", "../../catalog", "DeliveryState"},
		{"SignupStep", "name", "../../signup", "StepName"},
		{"SignupStep", "status", "../../tenant", "StepStatus"},
		{"TenantStep", "name", "../../tenant", "StepName"},
		{"TenantStep", "status", "../../tenant", "StepStatus"},
		{"Invitation", "status", ".", "invitationStatus"},
	} {
		want := constants(t, c.dir, c.typeName)
		truth(t, len(want) > 1, "no constants of the type ", c.typeName)
		equal(t, want, enumAt(t, doc, c.schema, c.member), c.schema, ".", c.member)
	}
	for _, c := range []struct {
		schema, member string
		want           []string
	}{
		{"Migration", "direction", fleet.Directions},
		{"MigrationOutcome", "state", fleet.OutcomeStates},
		{"Invitation", "role", identity.Roles},
		{"NewInvitation", "role", signup.InvitedRoles},
		{"OAuthStart", "provider", httpapi.OAuthProviders()},
	} {
		truth(t, len(c.want) > 1, "no values for ", c.schema, ".", c.member)
		equal(t, slices.Sorted(slices.Values(c.want)), enumAt(t, doc, c.schema, c.member), c.schema, ".", c.member)
	}
}

func TestAFilterTakesEveryValueOfTheDocumentAndNoOther(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	filters := 0
	operations(openAPI(t, w), func(method, path string, op map[string]any) {
		parameters, _ := op["parameters"].([]any)
		for _, p := range parameters {
			name, values := p.(map[string]any)["name"].(string), texts(p.(map[string]any)["schema"])
			if len(values) == 0 || strings.Contains(path, "{") {
				continue
			}
			filters++
			auth := w.bearer("read:tenants")
			for _, value := range values {
				equal(t, 200, w.call(method, path+"?"+name+"="+value, "", auth).Status, path, " ", name, " ", value)
			}
			equal(t, 422, w.call(method, path+"?"+name+"=unheard-of", "", auth).Status, path, " ", name)
		}
	})
	truth(t, filters > 0, "no operation has a filter with an enum")
}

func TestEveryRequestBodyIsClosedAndNoAnswerIs(t *testing.T) {
	t.Parallel()
	doc := openAPI(t, setup(t, options{noSpare: true}))
	bodies := map[string]bool{}
	operations(doc, func(_, _ string, op map[string]any) {
		body, ok := op["requestBody"].(map[string]any)
		if !ok {
			return
		}
		schema := body["content"].(map[string]any)["application/json"].(map[string]any)["schema"].(map[string]any)
		choices, _ := schema["oneOf"].([]any)
		for _, choice := range append(choices, schema) {
			if ref, ok := choice.(map[string]any)["$ref"].(string); ok {
				bodies[strings.TrimPrefix(ref, "#/components/schemas/")] = true
			}
		}
	})
	truth(t, len(bodies) > 10, bodies)
	for name, schema := range doc["components"].(map[string]any)["schemas"].(map[string]any) {
		equal(t, bodies[name], schema.(map[string]any)["additionalProperties"] == false, name)
	}
}
