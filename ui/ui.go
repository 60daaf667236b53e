// Package ui has the scripts and styles of the pages, as Vite builds them from the sources beside it. Without them,
// on a machine that has no node, the pages work without a script.
package ui

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// Assets are the built files. The zero value has none.
type Assets struct {
	files fs.FS
	// entries are by the name of their source folder, such as registration.
	entries map[string]Entry
}

// Entry is what a page loads: the paths below /ui/ of its script and its style sheets.
type Entry struct {
	Script string
	Styles []string
}

// Open reads which files there are. It returns Assets without entries where nothing was built.
func Open() (Assets, error) { return open(dist) }

func open(from fs.FS) (Assets, error) {
	text, err := fs.ReadFile(from, "dist/app/manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return Assets{}, nil
	}
	if err != nil {
		return Assets{}, fmt.Errorf("read the built pages: %w", err)
	}
	var manifest map[string]struct {
		File    string
		CSS     []string
		IsEntry bool
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return Assets{}, fmt.Errorf("read the manifest of the built pages: %w", err)
	}
	files, err := fs.Sub(from, "dist/app")
	if err != nil {
		return Assets{}, fmt.Errorf("read the built pages: %w", err)
	}
	assets := Assets{files: files, entries: map[string]Entry{}}
	for source, file := range manifest {
		if file.IsEntry {
			assets.entries[path.Base(path.Dir(source))] = Entry{Script: file.File, Styles: slices.Clone(file.CSS)}
		}
	}
	return assets, nil
}

// Entry returns what a page loads, and whether it was built.
func (a Assets) Entry(name string) (Entry, bool) {
	entry, ok := a.entries[name]
	return entry, ok
}

// ServeFile answers a request for a file of this name below /ui/. Names have a hash of their content, so caches may
// keep them for good.
func (a Assets) ServeFile(w http.ResponseWriter, name string) (found bool) {
	if a.files == nil {
		return false
	}
	content, err := fs.ReadFile(a.files, strings.TrimPrefix(name, "/"))
	if err != nil {
		return false
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(content)
	return true
}
