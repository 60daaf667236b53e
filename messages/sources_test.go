package messages_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"homeroom/messages"
)

// The code words its errors in English. These tests read the code, so that a text that nobody has translated is found when
// it is written, and not by somebody who cannot read it.

// doors are the packages whose errors people see, by their folders.
var doors = []string{"../internal/httpapi", "../signup", "../auth0", "../scim", "../beyondidentity", "../webhook", "../hosted"}

// spokenBy are the functions and types that take a text for people, and where: the name of a call or a type, the position of the
// text, and the name of the member where there are names.
var spokenBy = map[string]struct {
	position int
	member   string
}{
	"newProblem":   {1, ""},
	"FieldProblem": {2, "Message"},
	"FieldError":   {2, "Message"},
	"Rejected":     {-1, "Message"},
	"add":          {2, ""},
	"take":         {3, ""},
	"malformed":    {0, ""},
}

// pairs are the functions that return a code and a text; phrases those whose texts become parts of others.
var (
	pairs   = []string{"wordParameter", "judge", "unfit", "checkURL"}
	phrases = []string{"wordSyntax", "quarantineText", "NormaliseEmail"}
)

// parse reads the code of a folder, tests aside; one that is not there has none.
func parse(t *testing.T, dir string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// nameOf is the last name of what is called or made.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

var verbs = regexp.MustCompile(`%[a-z]`)

// said is a text as it may be said, with 7 for every number and value; ok is false for one that the code has from elsewhere.
func said(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, first := said(e.X)
		right, second := said(e.Y)
		if !first {
			left = "7"
		}
		if !second {
			right = "7"
		}
		return left + right, first || second
	case *ast.CallExpr:
		if nameOf(e.Fun) == "Sprintf" || nameOf(e.Fun) == "malformed" {
			text, ok := said(e.Args[0])
			return verbs.ReplaceAllString(text, "7"), ok
		}
	}
	return "", false
}

// texts are those that the code of a folder says to people.
func texts(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	take := func(e ast.Expr) {
		if text, ok := said(e); ok && strings.Contains(text, " ") { // a word alone is a code, or the name of something
			all = append(all, text)
		}
	}
	for _, file := range parse(t, dir) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if where, ok := spokenBy[nameOf(n.Fun)]; ok && where.position >= 0 && len(n.Args) > where.position {
					take(n.Args[where.position])
				}
			case *ast.CompositeLit:
				takeMembers(n, take)
			case *ast.FuncDecl:
				if slices.Contains(pairs, n.Name.Name) || slices.Contains(phrases, n.Name.Name) {
					takeReturns(n, take)
				}
			}
			return true
		})
	}
	return all
}

// takeMembers takes the texts of a value, by name or by position; elements of lists and maps may leave out their type.
func takeMembers(n *ast.CompositeLit, take func(ast.Expr)) {
	kind := nameOf(n.Type)
	switch of := n.Type.(type) {
	case *ast.ArrayType:
		kind = nameOf(of.Elt)
	case *ast.MapType:
		kind = nameOf(of.Value)
	}
	where, ok := spokenBy[kind]
	if !ok {
		return
	}
	if _, single := n.Type.(*ast.Ident); !single && n.Type != nil {
		if _, selected := n.Type.(*ast.SelectorExpr); !selected {
			for _, element := range n.Elts {
				if pair, ok := element.(*ast.KeyValueExpr); ok {
					element = pair.Value
				}
				if inner, ok := element.(*ast.CompositeLit); ok && inner.Type == nil {
					takeMembers(&ast.CompositeLit{Type: ast.NewIdent(kind), Elts: inner.Elts}, take)
				}
			}
			return
		}
	}
	for i, element := range n.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			if nameOf(pair.Key) == where.member {
				take(pair.Value)
			}
		} else if i == where.position {
			take(element)
		}
	}
}

// takeReturns takes the last of what a function returns, an error's text too.
func takeReturns(n *ast.FuncDecl, take func(ast.Expr)) {
	ast.Inspect(n, func(n ast.Node) bool {
		answer, ok := n.(*ast.ReturnStmt)
		if !ok || len(answer.Results) == 0 {
			return true
		}
		last := answer.Results[len(answer.Results)-1]
		if call, ok := last.(*ast.CallExpr); ok && nameOf(call.Fun) == "New" && len(call.Args) == 1 {
			last = call.Args[0]
		}
		take(last)
		return true
	})
}

func TestWhatTheCodeSaysIsTranslated(t *testing.T) {
	t.Parallel()
	english := open(t, messages.Config{}).For("en")
	total := 0
	for _, dir := range doors {
		for _, text := range texts(t, dir) {
			total++
			if _, ok := english.Translate(text); !ok {
				t.Errorf("%s says %q, which has no id in messages/texts/en.toml, below [detail] or [field]", dir, text)
			}
		}
	}
	if total < 60 {
		t.Errorf("found only %d texts in the code: it is read wrongly", total)
	}
}

// Codes of fields come with a text, which is found by what it says. Only an identity provider's own words are found by their
// code.
func TestTheCodesOfRefusedPasswordsAreTranslated(t *testing.T) {
	t.Parallel()
	german := open(t, messages.Config{}).For("de")
	codes := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	found := 0
	for _, dir := range doors[2:5] {
		for _, file := range parse(t, dir) {
			ast.Inspect(file, func(n ast.Node) bool {
				spec, ok := n.(*ast.ValueSpec)
				if !ok || len(spec.Values) != 1 || !strings.HasSuffix(spec.Names[0].Name, "Codes") {
					return true
				}
				ast.Inspect(spec, func(n ast.Node) bool {
					if pair, ok := n.(*ast.KeyValueExpr); ok {
						if code, ok := said(pair.Value); ok && codes.MatchString(code) {
							found++
							if _, there := german.Lookup("code."+code, map[string]any{"Message": "x"}); !there {
								t.Errorf("%s refuses with the code %s, which has no text below [code]", dir, code)
							}
						}
					}
					return true
				})
				return false
			})
		}
	}
	if found < 4 {
		t.Errorf("found only %d codes", found)
	}
}

func TestKindsOfErrorsAreTranslated(t *testing.T) {
	t.Parallel()
	all := open(t, messages.Config{})
	kinds := 0
	for _, file := range parse(t, doors[0]) {
		ast.Inspect(file, func(n ast.Node) bool {
			made, ok := n.(*ast.CompositeLit)
			if !ok || nameOf(made.Type) != "kind" || len(made.Elts) != 5 {
				return true
			}
			kinds++
			code, _ := said(made.Elts[0])
			for i, part := range []string{"", "", "title", "meaning", "cure"} {
				if part == "" {
					continue
				}
				id := "kind." + strings.ToLower(code) + "." + part
				text, ok := said(made.Elts[i])
				if got := all.Own("en", id); !ok || got != text {
					t.Errorf("%s is %q in English, and %q in the code", id, got, text)
				}
			}
			return true
		})
	}
	if kinds < 16 {
		t.Errorf("found only %d kinds", kinds)
	}
}

func TestTheCodeAsksForTextsThatThereAre(t *testing.T) {
	t.Parallel()
	english := open(t, messages.Config{})
	asked := 0
	for _, dir := range append([]string{"../mail"}, doors...) {
		for _, file := range parse(t, dir) {
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || nameOf(call.Fun) != "Text" || len(call.Args) != 2 {
					return true
				}
				if literal, ok := call.Args[0].(*ast.BasicLit); ok {
					asked++
					if id, _ := said(literal); english.Own("en", id) == "" {
						t.Errorf("%s asks for the text %s, which there is not", dir, id)
					}
				}
				return true
			})
		}
	}
	if asked < 10 {
		t.Errorf("found only %d ids", asked)
	}
}
