package hosted_test

import (
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"homeroom/internal/browsertest"
)

// newOwnKey returns a key that no provider publishes.
func newOwnKey() *rsa.PrivateKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return private
}

// sealedByAnother returns a cookie that is encrypted with another key.
func sealedByAnother(string) string {
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: make([]byte, 32)}, nil)
	if err != nil {
		panic(err)
	}
	sealed, err := encrypter.Encrypt([]byte(`{"trip":{"id":"x"}}`))
	if err != nil {
		panic(err)
	}
	value, err := sealed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return value
}

// follow sends a callback request with a browser's cookies.
func follow(t *testing.T, d *testService, browser *browsertest.Browser, query url.Values) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+"/callback?"+query.Encode(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range browser.Cookies(d.url) {
		r.AddCookie(cookie)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}

// withOwnKey returns a token with its own key in the header.
func withOwnKey(claims []byte) string {
	own := newOwnKey()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: own}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		panic(err)
	}
	return compact(s, claims)
}

// severalSignatures returns a token in JSON serialization with one valid and other invalid signatures.
func severalSignatures(claims []byte) string {
	s, err := jose.NewMultiSigner([]jose.SigningKey{
		{Algorithm: jose.RS256, Key: fakeProviderKey()}, {Algorithm: jose.RS256, Key: newOwnKey()},
	}, nil)
	if err != nil {
		panic(err)
	}
	signed, err := s.Sign(claims)
	if err != nil {
		panic(err)
	}
	return signed.FullSerialize()
}

// asJSON returns a valid token in JSON serialization.
func asJSON(claims []byte) string {
	signed, err := jose.ParseSignedCompact(signer(jose.RS256, fakeProviderKey(), "1")(claims), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		panic(err)
	}
	return signed.FullSerialize()
}
