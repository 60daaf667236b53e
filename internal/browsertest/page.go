package browsertest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Submit fills in the form with a button (or, with "", the first form) and presses that button. Fields that are not in values
// keep the page's value. A value for a missing field fails the test.
func (b *Browser) Submit(p Page, button string, values map[string]string) Page {
	b.t.Helper()
	form, pressed := p.form(b.t, button)
	filled := url.Values{}
	left := maps.Clone(values)
	for _, field := range all(form, "input", "select", "textarea") {
		name, kind := attr(field, "name"), attr(field, "type")
		if name == "" || kind == "submit" || (kind == "checkbox" || kind == "radio") && !has(field, "checked") {
			continue
		}
		value, ok := values[name]
		if !ok {
			value = attr(field, "value")
		}
		delete(left, name)
		filled.Set(name, value)
	}
	if len(left) > 0 {
		b.t.Fatalf("%s has no fields %v", p.URL, left)
	}
	if pressed != nil && attr(pressed, "name") != "" {
		filled.Set(attr(pressed, "name"), attr(pressed, "value"))
	}
	action, err := p.URL.Parse(attr(form, "action"))
	if err != nil {
		b.t.Fatal(err)
	}
	policy := directive(p.Header.Get("Content-Security-Policy"), "form-action")
	if !strings.EqualFold(attr(form, "method"), "post") {
		action.RawQuery = filled.Encode()
		return b.follow(b.request(http.MethodGet, action, ""), "")
	}
	r := b.post(action, originOf(p.URL), filled)
	if policy == "'none'" {
		b.t.Fatalf("a browser does not send the form of %s: its policy forbids all forms", p.URL)
	}
	return b.follow(r, policy)
}

func (p Page) form(t testing.TB, button string) (form, pressed *html.Node) {
	t.Helper()
	if p.doc == nil {
		t.Fatalf("%s (%d) is no page: %s", p.URL, p.Status, p.Body)
	}
	for _, form := range all(p.doc, "form") {
		if button == "" {
			return form, nil
		}
		for _, candidate := range all(form, "button", "input") {
			if text(candidate) == button || attr(candidate, "type") == "submit" && attr(candidate, "value") == button {
				return form, candidate
			}
		}
	}
	t.Fatalf("%s (%d) has no button %q: %s", p.URL, p.Status, button, p.Text())
	return nil, nil
}

// Link returns the address of the link with this text.
func (p Page) Link(t testing.TB, label string) string {
	t.Helper()
	for _, a := range all(p.doc, "a") {
		if text(a) == label {
			to, err := p.URL.Parse(attr(a, "href"))
			if err != nil {
				t.Fatal(err)
			}
			return to.String()
		}
	}
	t.Fatalf("%s has no link %q: %s", p.URL, label, p.Text())
	return ""
}

// Value returns the value of a field of the page.
func (p Page) Value(name string) string {
	for _, field := range all(p.doc, "input") {
		if attr(field, "name") == name {
			return attr(field, "value")
		}
	}
	return ""
}

// Heading returns the page's h1.
func (p Page) Heading() string {
	for _, h := range all(p.doc, "h1") {
		return text(h)
	}
	return ""
}

// Language returns the page's lang attribute.
func (p Page) Language() string {
	for _, h := range all(p.doc, "html") {
		return attr(h, "lang")
	}
	return ""
}

// Text returns the visible text.
func (p Page) Text() string { return text(p.doc) }

// CheckAccessible checks that the page has no script but those of files of its own, and a policy that allows no
// other; a language, a title, one heading, labels for all fields, and messages that belong to their fields.
func (p Page) CheckAccessible(t testing.TB) {
	t.Helper()
	policy := p.Header.Get("Content-Security-Policy")
	if directive(policy, "default-src") != "'none'" || directive(policy, "frame-ancestors") != "'none'" ||
		directive(policy, "base-uri") != "'none'" || strings.Contains(policy, "unsafe") ||
		!slices.Contains([]string{"", "'self'"}, directive(policy, "script-src")) {
		t.Errorf("%s has the policy %q", p.URL, policy)
	}
	if p.Header.Get("Cache-Control") != "no-store" || p.Header.Get("Referrer-Policy") != "no-referrer" ||
		p.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s may be kept, tell where people come from, or be taken for something else: %v", p.URL, p.Header)
	}
	scripts := slices.DeleteFunc(all(p.doc, "script"), func(script *html.Node) bool {
		return attr(script, "type") == "application/json" || strings.HasPrefix(attr(script, "src"), "/ui/") && directive(policy, "script-src") != ""
	})
	if len(scripts) > 0 || strings.Contains(p.Body, " style=") || len(all(p.doc, "style")) > 0 {
		t.Errorf("%s holds scripts or styles, which its policy forbids", p.URL)
	}
	if p.Language() == "" || len(all(p.doc, "h1")) != 1 || p.Heading() == "" || len(all(p.doc, "main")) != 1 {
		t.Errorf("%s has the language %q and %d headings", p.URL, p.Language(), len(all(p.doc, "h1")))
	}
	if titles := all(p.doc, "title"); len(titles) != 1 || text(titles[0]) == "" {
		t.Errorf("%s has no title", p.URL)
	}
	p.checkFields(t)
}

func (p Page) checkFields(t testing.TB) {
	t.Helper()
	var labelled, ids []string
	for _, label := range all(p.doc, "label") {
		labelled = append(labelled, attr(label, "for"))
	}
	for _, node := range all(p.doc, "p", "span", "div", "ul") {
		ids = append(ids, attr(node, "id"))
	}
	for _, field := range all(p.doc, "input", "select", "textarea") {
		if kind := attr(field, "type"); kind == "hidden" || kind == "submit" {
			continue
		}
		if !slices.Contains(labelled, attr(field, "id")) || attr(field, "id") == "" {
			t.Errorf("%s: the field %s has no label", p.URL, attr(field, "name"))
		}
		for described := range strings.FieldsSeq(attr(field, "aria-describedby")) {
			if !slices.Contains(ids, described) {
				t.Errorf("%s: the field %s is described by %s, which is not there", p.URL, attr(field, "name"), described)
			}
		}
	}
}

// directive is the value of one directive of a policy.
func directive(policy, name string) string {
	for part := range strings.SplitSeq(policy, ";") {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(part), name+" "); ok {
			return rest
		}
	}
	return ""
}

// all returns the elements of these names, in the order of the page.
func all(node *html.Node, names ...string) []*html.Node {
	var found []*html.Node
	if node == nil {
		return nil
	}
	for n := range node.Descendants() {
		if n.Type == html.ElementNode && slices.Contains(names, n.Data) {
			found = append(found, n)
		}
	}
	return found
}

func attr(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(node *html.Node, name string) bool {
	return slices.ContainsFunc(node.Attr, func(a html.Attribute) bool { return a.Key == name })
}

// text returns the text of an element, in one line.
func text(node *html.Node) string {
	var words strings.Builder
	if node == nil {
		return ""
	}
	for n := range node.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "script" && (n.Parent == node || n.Parent.Data != "title") {
			words.WriteString(n.Data + " ")
		}
	}
	return strings.Join(strings.Fields(words.String()), " ")
}
