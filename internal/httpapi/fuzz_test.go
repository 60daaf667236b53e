package httpapi

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"testing"
)

// FuzzReadStrictly: what our reader takes, the usual one takes too.
func FuzzReadStrictly(f *testing.F) {
	for _, text := range []string{`{}`, `{"a":1,"a":2}`, `{"a":1} x`, "{\"a\":\"\xff\"}", `{"a":{"b":[1,2,{"c":null}]}}`, `[`, `"\ud800"`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var into any
		if readStrictly(text, &into) == nil && !json.Valid(text) {
			t.Errorf("it takes %q", text)
		}
	})
}

// FuzzClientAddress: whatever the header says, there is an address to count by.
func FuzzClientAddress(f *testing.F) {
	for _, header := range []string{"", "198.51.100.4", "198.51.100.4:40001", "[2001:db8::1]:443", "unknown, 10.0.0.1", ",,", "fe80::1%eth0"} {
		f.Add(header)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, header string) {
		request := &http.Request{RemoteAddr: "127.0.0.1:40000", Header: http.Header{"X-Forwarded-For": {header}}}
		if address := clientAddress(request, trusted); !address.IsValid() || address.Zone() != "" || network(address) == "" {
			t.Errorf("%q is %v", header, address)
		}
	})
}
