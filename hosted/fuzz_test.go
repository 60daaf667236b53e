package hosted_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"unicode/utf8"

	"homeroom/hosted"
)

// FuzzStateCookie checks that a state that was saved in a cookie is loaded unchanged, and that a cookie with one changed byte
// is refused, unless it still stands for the same state.
func FuzzStateCookie(f *testing.F) {
	provider, err := hosted.New(hosted.Config{Issuer: "https://id.example/", ClientID: "web", RedirectURL: "https://x.example/callback", Key: key})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("Lincoln High", "ada@lincoln.example", uint16(0), byte(1))
	f.Add("北京市第四中学", "", uint16(40), byte(0x20))
	f.Add("", "\"<>&\u2028", uint16(300), byte(0x80))
	f.Fuzz(func(t *testing.T, school, email string, at uint16, change byte) {
		if !utf8.ValidString(school) || !utf8.ValidString(email) {
			return // JSON cannot hold it
		}
		state := hosted.FlowState{ID: "0123456789abcdef0123", SchoolName: school}
		person := hosted.Person{Name: school}
		person.Identity.Email = email
		cookie, err := provider.SaveState(state, person)
		if err != nil {
			t.Fatal(err)
		}
		load := func() (hosted.FlowState, hosted.Person, error) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Cookie", cookie.Name+"="+cookie.Value)
			return provider.LoadState(r, state.ID)
		}
		if gotState, gotPerson, err := load(); err != nil || gotState != state || gotPerson != person {
			t.Errorf("saved %+v, %+v; loaded %+v, %+v, %v", state, person, gotState, gotPerson, err)
		}
		changed := []byte(cookie.Value)
		changed[int(at)%len(changed)] ^= change
		cookie.Value = string(changed)
		gotState, gotPerson, err := load()
		if err == nil && (gotState != state || gotPerson != person) || err != nil && !errors.Is(err, hosted.ErrStateMismatch) {
			t.Errorf("the changed cookie %q is loaded as %+v, %+v, %v", changed, gotState, gotPerson, err)
		}
	})
}
