package httpapi

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"homeroom/internal/problem"
	"homeroom/messages"
)

//go:embed pages
var pages embed.FS

// elements draws the page of the documentation: the web component of Stoplight Elements, compressed. `make elements`
// downloads it.
//
//go:embed elements/*.gz
var elements embed.FS

// pagePolicy allows a page its own style sheet and nothing else: no script, no frame, nothing from other sites.
const pagePolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docsPolicy allows the page of the documentation its own script, which reads the OpenAPI document. The hash is that
// of the one style sheet that Stoplight Elements writes into the page; a browser's console shows it.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-MBVp6JYxbC/wICelYC6eULCRpgi9kGezXXSaq/TS2+I='; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// registerPages adds what is not an operation of the API: the document, its page, and a page for each kind of error.
// All are written once, here.
func (s *server) registerPages(router *gin.Engine) error {
	templates, err := template.ParseFS(pages, "pages/*.html")
	if err != nil {
		return fmt.Errorf("read pages: %w", err)
	}
	style, err := pages.ReadFile("pages/style.css")
	if err != nil {
		return fmt.Errorf("read style: %w", err)
	}
	document, err := json.MarshalIndent(s.document(), "", "  ")
	if err != nil {
		return fmt.Errorf("write OpenAPI document: %w", err)
	}
	docs, err := pages.ReadFile("pages/docs.html")
	if err != nil {
		return fmt.Errorf("read the page of the documentation: %w", err)
	}
	router.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", document) })
	router.GET("/docs", func(c *gin.Context) {
		c.Header("Content-Security-Policy", docsPolicy)
		c.Data(http.StatusOK, "text/html; charset=utf-8", docs)
	})
	for name, contentType := range map[string]string{"elements.js": "text/javascript; charset=utf-8", "elements.css": "text/css; charset=utf-8"} {
		compressed, err := elements.ReadFile("elements/" + name + ".gz")
		if err != nil {
			return fmt.Errorf("read the script of the documentation: %w", err)
		}
		router.GET("/docs/"+name, func(c *gin.Context) { writeCompressed(c, contentType, compressed) })
	}
	router.GET("/docs/style.css", func(c *gin.Context) {
		c.Header("Cache-Control", "max-age=3600")
		c.Data(http.StatusOK, "text/css; charset=utf-8", style)
	})
	for _, k := range problem.Kinds {
		written := map[string]*explanation{}
		for _, tag := range s.cfg.Texts.Languages() {
			if written[tag], err = newExplanation(templates, k, s.cfg.Texts.For(tag)); err != nil {
				return err
			}
		}
		router.GET(k.Path(), func(c *gin.Context) { explain(c, written[s.cfg.Texts.Negotiate(c.Writer, c.Request).Tag()]) })
	}
	return nil
}

// writeCompressed writes gzip content as it is to clients that accept gzip, which every browser does.
func writeCompressed(c *gin.Context, contentType string, compressed []byte) {
	c.Header("Cache-Control", "max-age=3600")
	c.Header("Vary", "Accept-Encoding")
	if strings.Contains(c.GetHeader("Accept-Encoding"), "gzip") {
		c.Header("Content-Encoding", "gzip")
		c.Data(http.StatusOK, contentType, compressed)
		return
	}
	plain, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		panic(err) // the embedded file is broken
	}
	c.DataFromReader(http.StatusOK, -1, contentType, plain, nil)
}

func writePage(c *gin.Context, page []byte) {
	c.Header("Content-Security-Policy", pagePolicy)
	c.Data(http.StatusOK, "text/html; charset=utf-8", page)
}

// explanation explains a kind of error in one language.
type explanation struct {
	problem.KindText
	says messages.Localizer
	page []byte
}

func newExplanation(templates *template.Template, k *problem.Kind, localizer messages.Localizer) (*explanation, error) {
	e := &explanation{KindText: k.Localize(localizer), says: localizer}
	others := make([]problem.KindText, len(problem.Kinds))
	for i, other := range problem.Kinds {
		others[i] = other.Localize(localizer)
	}
	var page bytes.Buffer
	err := templates.ExecuteTemplate(&page, "problem.html", map[string]any{
		"Kind": e.KindText, "Meaning": prose(e.Meaning), "Cure": prose(e.Cure), "Status": http.StatusText(k.Status), "Kinds": others,
		"Language": localizer.Tag(), "Text": func(id string) string { return localizer.Text("kind_page."+id, nil) },
	})
	if err != nil {
		return nil, fmt.Errorf("write page of %s: %w", k.Code, err)
	}
	e.page = page.Bytes()
	return e, nil
}

// explain explains a kind of error: to browsers as a page, to programs as JSON, to a terminal as text.
func explain(c *gin.Context, e *explanation) {
	accept := c.GetHeader("Accept")
	c.Writer.Header().Add("Vary", "Accept")
	switch {
	case strings.Contains(accept, "text/html"):
		writePage(c, e.page)
	case strings.Contains(accept, "json"):
		c.JSON(http.StatusOK, gin.H{
			"type": e.Path(), "title": e.Title, "status": e.Status, "code": e.Code, "meaning": e.Meaning, "cure": e.Cure,
		})
	default:
		c.String(http.StatusOK, "%s (%d %s)\n\n%s\n\n%s: %s\n", e.Title, e.Status, e.Code, e.Meaning, e.says.Text("kind_page.cure", nil), e.Cure)
	}
}

// prose formats text with `code` and blank lines between paragraphs, the parts of Markdown that the descriptions use.
func prose(text string) template.HTML {
	var html strings.Builder
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		html.WriteString("<p>")
		for i, part := range strings.Split(paragraph, "`") {
			part = template.HTMLEscapeString(part)
			if i%2 == 1 {
				part = "<code>" + part + "</code>"
			}
			html.WriteString(part)
		}
		html.WriteString("</p>")
	}
	return template.HTML(html.String()) //nolint:gosec // escaped above, and our own text
}
