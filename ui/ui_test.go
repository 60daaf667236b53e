package ui

import (
	"net/http/httptest"
	"reflect"
	"testing"
	"testing/fstest"
)

func TestEntriesAreThoseOfTheManifest(t *testing.T) {
	t.Parallel()
	assets, err := open(fstest.MapFS{
		"dist/app/manifest.json": {Data: []byte(`{
			"src/registration/main.ts": {"file": "assets/registration-C4.js", "isEntry": true, "css": ["assets/registration-D5.css"]},
			"_shared.js": {"file": "assets/shared-E6.js"}}`)},
		"dist/app/assets/registration-C4.js": {Data: []byte("export {}")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Entry{Script: "assets/registration-C4.js", Styles: []string{"assets/registration-D5.css"}}
	if entry, ok := assets.Entry("registration"); !ok || !reflect.DeepEqual(entry, want) {
		t.Errorf("it is %v, %v", entry, ok)
	}
	if _, ok := assets.Entry("admin"); ok {
		t.Error("there is an entry that was not built")
	}
	w := httptest.NewRecorder()
	if !assets.ServeFile(w, "/assets/registration-C4.js") || w.Body.String() != "export {}" || w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("it answers %v %s", w.Header(), w.Body)
	}
	for _, name := range []string{"/", "/../ui.go", "/assets", "/nothing.js", ""} {
		if assets.ServeFile(httptest.NewRecorder(), name) {
			t.Errorf("there is a file %q", name)
		}
	}
}

func TestWithoutBuiltFilesThereAreNoEntries(t *testing.T) {
	t.Parallel()
	assets, err := open(fstest.MapFS{"dist/README": {Data: []byte("text")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := assets.Entry("registration"); ok || assets.ServeFile(httptest.NewRecorder(), "/assets/x.js") {
		t.Error("there is something")
	}
	if _, err := open(fstest.MapFS{"dist/app/manifest.json": {Data: []byte("{")}}); err == nil {
		t.Error("a broken manifest is read")
	}
}
