package httpapi_test

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write docs/openapi.json anew")

// documentFile is what programs are generated from: the document of a service without any settings of its own.
const documentFile = "../../docs/openapi.json"

func TestTheDocumentIsTheOneInTheRepository(t *testing.T) {
	t.Parallel()
	got := setup(t, options{noSpare: true}).call("GET", "/openapi.json", "").Body
	if *update {
		check(t, os.WriteFile(documentFile, []byte(got), 0o600))
		return
	}
	want, err := os.ReadFile(documentFile)
	check(t, err)
	if got != string(want) {
		t.Error("it differs from docs/openapi.json. If that is meant: go test ./internal/httpapi -run TheDocumentIs -update")
	}
}
