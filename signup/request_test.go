package signup_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"homeroom/catalog"
	"homeroom/internal/secret"
	"homeroom/signup"
)

func TestNormaliseFindsEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*signup.Request)
		want   []string
	}{
		"nothing": {func(r *signup.Request) { *r = signup.Request{} }, []string{"email required", "password required", "schoolName required"}},
		"everything wrong": {func(r *signup.Request) {
			*r = signup.Request{
				Email: "ada", Password: "short", SchoolName: "x", IdempotencyKey: "short", Person: catalog.Person{Name: "y", GivenName: "a\u202eb", FamilyName: strings.Repeat("z", 101)},
			}
		}, []string{
			"email invalid_format", "password too_short", "schoolName too_short", "givenName invalid_characters",
			"familyName too_long", "name too_short", "Idempotency-Key invalid_format",
		}},
		"a password over 72 bytes":    {func(r *signup.Request) { r.Password = secret.String(strings.Repeat("é", 37)) }, []string{"password too_long"}},
		"a password of 72 bytes":      {func(r *signup.Request) { r.Password = secret.String(strings.Repeat("é", 36)) }, nil},
		"a school name of 100":        {func(r *signup.Request) { r.SchoolName = strings.Repeat("東", 100) }, nil},
		"a school name of 101":        {func(r *signup.Request) { r.SchoolName = strings.Repeat("東", 101) }, []string{"schoolName too_long"}},
		"a school name of spaces":     {func(r *signup.Request) { r.SchoolName = " \u00a0\u3000 " }, []string{"schoolName required"}},
		"an invisible school name":    {func(r *signup.Request) { r.SchoolName = "\u200b\u200b" }, []string{"schoolName invalid_characters"}},
		"a school name with a NUL":    {func(r *signup.Request) { r.SchoolName = "Lin\x00coln" }, []string{"schoolName invalid_characters"}},
		"a school name with a tab":    {func(r *signup.Request) { r.SchoolName = "Lin\tcoln" }, []string{"schoolName invalid_characters"}},
		"a school name of bad UTF-8":  {func(r *signup.Request) { r.SchoolName = "Lin\xffcoln" }, []string{"schoolName invalid_characters"}},
		"a password with a NUL":       {func(r *signup.Request) { r.Password = "Chalk-and\x00-Cheese-42" }, []string{"password invalid_characters"}},
		"a password with a line end":  {func(r *signup.Request) { r.Password = "Chalk-and-Cheese-42\n" }, []string{"password invalid_characters"}},
		"a password of bad UTF-8":     {func(r *signup.Request) { r.Password = "Chalk-and-\xff-Cheese" }, []string{"password invalid_characters"}},
		"a password with spaces":      {func(r *signup.Request) { r.Password = " chalk \u00e9t caf\u00e9 🧀 " }, nil},
		"a family name of one letter": {func(r *signup.Request) { r.FamilyName = "李" }, nil},
		"an idempotency key of 256":   {func(r *signup.Request) { r.IdempotencyKey = strings.Repeat("k", 256) }, []string{"Idempotency-Key invalid_format"}},
		"an idempotency key with a é": {func(r *signup.Request) { r.IdempotencyKey = strings.Repeat("é", 16) }, []string{"Idempotency-Key invalid_format"}},
		"SQL":                         {func(r *signup.Request) { r.SchoolName = "a'; DROP DATABASE x;--" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := request()
			c.change(&req)
			_, err := req.Normalise(signup.Rules{})
			var got []string
			var invalid *signup.ValidationError
			if errors.As(err, &invalid) {
				for _, field := range invalid.Fields {
					got = append(got, field.Field+" "+field.Code)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestANameHasNoInvisibleCharacters: a name of such characters only would be empty to a reader, and a name with some of
// them would look like that of another school.
func TestANameHasNoInvisibleCharacters(t *testing.T) {
	t.Parallel()
	name := func(text string) (string, error) {
		req := request()
		req.SchoolName = text
		req, err := req.Normalise(signup.Rules{})
		return req.SchoolName, err
	}
	for _, r := range []rune{
		'\u3164', '\u2800', '\u115f', '\u1160', '\uffa0', '\u200b', '\u2060', '\u2062', '\u00ad', '\u200e', '\u200f', '\u061c', '\ufe0f',
		'\u034f', '\u17b4', '\u180e', '\u200c', '\u200d', '\U0001d159', '\U000e0100', '\U000e0041', '\ufeff', '\U0001bca0',
	} {
		for _, text := range []string{string(r), strings.Repeat(string(r), 3), " " + string(r) + " " + string(r), string(r) + "Lincoln", "Lincoln " + string(r), "Lin" + string(r) + "coln 4" + string(r) + "2"} {
			_, err := name(text)
			var invalid *signup.ValidationError
			if !errors.As(err, &invalid) || invalid.Fields[0].Field != "schoolName" || invalid.Fields[0].Code != "invalid_characters" ||
				invalid.Fields[0].Message.String() != "Leave out control characters, invisible characters, and characters that change the direction of text." {
				t.Errorf("%U in %q: %v", r, text, err)
			}
		}
	}
	for text, want := range map[string]string{
		"  Lincoln   High ":                  "Lincoln High",
		"Lincoln\u00a0\u2003High":            "Lincoln High",
		"東京\u3000小学校":                        "東京 小学校",
		"e\u0301cole":                        "\u00e9cole",
		"می\u200cخواهم":                      "می\u200cخواهم",
		"क्\u200dष":                          "क्\u200dष",
		"葛\U000e0100城小学校":                    "葛\U000e0100城小学校",
		"School ❤\ufe0f":                     "School ❤\ufe0f",
		"👩\u200d🏫 and 🏳\ufe0f\u200d🌈 school": "👩\u200d🏫 and 🏳\ufe0f\u200d🌈 school",
		"Room 1\ufe0f\u20e3":                 "Room 1\ufe0f\u20e3",
		"\u0605 24":                          "\u0605 24",
	} {
		if got, err := name(text); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestNormaliseEmail(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		" Ada@Lincoln.Example ":                             "ada@lincoln.example",
		"ada+school@lincoln.example":                        "ada+school@lincoln.example",
		"ada@schüle.example":                                "ada@xn--schle-mva.example",
		"ada@xn--schle-mva.example":                         "ada@xn--schle-mva.example",
		"o'neil@lincoln.example":                            "o'neil@lincoln.example",
		"\u212Aelvin@lincoln.example":                       "", // the Kelvin sign is not a k
		"kelvin@\u212A.example":                             "",
		"ada@\uff4cincoln.example":                          "", // a fullwidth l is not an l
		"ada":                                               "",
		"ada@":                                              "",
		"@lincoln.example":                                  "",
		"ada@lincoln":                                       "",
		"ada@lincoln..example":                              "",
		"ada@-lincoln.example":                              "",
		"ada.@lincoln.example":                              "",
		"a da@lincoln.example":                              "",
		"ada@lincoln.example, b@c.d":                        "",
		"Ada <ada@lincoln.example>":                         "",
		`"ada"@lincoln.example`:                             "",
		"ada@[127.0.0.1]":                                   "",
		"ada\n@lincoln.example":                             "",
		"ada@lincoln.example\nBcc: x@y":                     "",
		strings.Repeat("a", 65) + "@lincoln.example":        "",
		"ada@" + strings.Repeat("lincoln.", 40) + "example": "",
		strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + ".example": strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + ".example",
	} {
		got, err := signup.NormaliseEmail(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestNormalisingTwiceIsNormalisingOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]{1,20}@[ -~]{1,20}\.[a-zA-Z]{2,5}`)).Draw(t, "e-mail")
		once, err := signup.NormaliseEmail(text)
		if err != nil {
			return
		}
		if twice, err := signup.NormaliseEmail(once); err != nil || twice != once {
			t.Fatalf("%q becomes %q, then %q, %v", text, once, twice, err)
		}
		// Only ASCII may become ASCII, except by punycode.
		if utf8.RuneCountInString(strings.TrimSpace(text)) == len(once) && !strings.EqualFold(strings.TrimSpace(text), once) {
			t.Fatalf("%q becomes %q", text, once)
		}
	})
}

func TestASlugIsMadeOfWords(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Lincoln High": "lincoln-high", "École 42": "ecole-42", "東京小学校": "dong-jing-xiao-xue-xiao", "--": "school", "_x_": "x",
		"a'; DROP DATABASE x;--": "a-drop-database-x",
	} {
		if got := signup.Slug(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	words := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name")
		if got := signup.Slug(name); !words.MatchString(got) || len(got) > 68 {
			t.Fatalf("%q: %q", name, got)
		}
	})
}
