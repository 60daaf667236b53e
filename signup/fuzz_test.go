package signup_test

import (
	"regexp"
	"testing"

	"homeroom/signup"
)

// FuzzNormaliseEmail checks that a normalised address does not change when it is normalised again.
func FuzzNormaliseEmail(f *testing.F) {
	for _, text := range []string{"ada@lincoln.example", " Ada@LINCOLN.example ", "a@müller.example", "\"a b\"@x.example", "a@b@c", "@", "a@[::1]", "a@xn--mll-hoa.example"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, err := signup.NormaliseEmail(text)
		if err != nil {
			return
		}
		if twice, err := signup.NormaliseEmail(once); err != nil || twice != once || len(once) > 254 {
			t.Errorf("%q becomes %q, and then %q, %v", text, once, twice, err)
		}
	})
}

var slugForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// FuzzSlug checks that every name gets a slug that is valid in a URL.
func FuzzSlug(f *testing.F) {
	for _, name := range []string{"Lincoln High", "北京市第四中学", "École élémentaire", "---", "", "\u200b", "a/../b?c=d"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if slug := signup.Slug(name); !slugForm.MatchString(slug) {
			t.Errorf("%q becomes %q", name, slug)
		}
	})
}
