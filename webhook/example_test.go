package webhook_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// A receiver verifies the signature with a library of Standard Webhooks before it reads the event. The webhook-id is the same in
// every attempt of a delivery.
func Example_receiver() {
	verifier, err := standardwebhooks.NewWebhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		panic(err)
	}
	receiver := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil || verifier.Verify(body, r.Header) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		var event struct{ Type string }
		if err := json.Unmarshal(body, &event); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Println(r.Header.Get("webhook-id"), event.Type)
		w.WriteHeader(http.StatusNoContent)
	})

	// The request of a delivery:
	now, body := time.Now(), `{"type":"tenant.ready","timestamp":"2026-03-02T08:00:00Z","data":{}}`
	signature, err := verifier.Sign("delivery-1", now, []byte(body))
	if err != nil {
		panic(err)
	}
	request := httptest.NewRequest(http.MethodPost, "/homeroom", strings.NewReader(body))
	request.Header.Set("webhook-id", "delivery-1")
	request.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("webhook-signature", signature)
	receiver(httptest.NewRecorder(), request)
	// Output: delivery-1 tenant.ready
}
