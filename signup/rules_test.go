package signup_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"homeroom/signup"
)

// refusals returns what is wrong with the e-mail address of a request that is valid otherwise, as "field code".
func refusals(t *testing.T, email string, rules signup.Rules) []string {
	t.Helper()
	_, err := signup.Request{Email: email, Password: "Chalk-and-Cheese-42", SchoolName: "Lincoln High"}.Normalise(rules)
	var invalid *signup.ValidationError
	if !errors.As(err, &invalid) {
		if err != nil {
			t.Fatal(err)
		}
		return nil
	}
	var codes []string
	for _, field := range invalid.Fields {
		if strings.Contains(field.Message.String(), email) {
			t.Errorf("the message repeats the address: %s", field.Message)
		}
		codes = append(codes, field.Field+" "+field.Code)
	}
	return codes
}

func TestEmailRules(t *testing.T) {
	t.Parallel()
	domains := func(text string) []string {
		list, err := signup.ParseDomains(text)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	notAllowed, subAddress := []string{"email not_allowed"}, []string{"email sub_address"}
	cases := []struct {
		name  string
		rules signup.Rules
		email string
		want  []string
	}{
		{"no rule", signup.Rules{}, "ada+x@mailinator.com", nil},
		{"an allowed domain", signup.Rules{AllowedDomains: domains("lincoln.example, Müll.example")}, "ada@lincoln.example", nil},
		{"a subdomain of an allowed one", signup.Rules{AllowedDomains: domains("lincoln.example")}, "ada@staff.lincoln.example", nil},
		{"an allowed domain in another spelling", signup.Rules{AllowedDomains: domains("müll.example")}, "ada@xn--mll-hoa.example", nil},
		{"another domain", signup.Rules{AllowedDomains: domains("lincoln.example")}, "ada@other.example", notAllowed},
		{"one that only ends like an allowed one", signup.Rules{AllowedDomains: domains("lincoln.example")}, "ada@evil-lincoln.example", notAllowed},
		{"a denied domain", signup.Rules{DeniedDomains: domains("other.example")}, "ada@OTHER.example", notAllowed},
		{"a subdomain of a denied one", signup.Rules{DeniedDomains: domains("@other.example")}, "ada@mail.other.example", notAllowed},
		{"a neighbour of a denied one", signup.Rules{DeniedDomains: domains("other.example")}, "ada@another.example", nil},
		{"denied within allowed", signup.Rules{AllowedDomains: domains("a.example"), DeniedDomains: domains("x.a.example")}, "ada@x.a.example", notAllowed},
		{"a disposable address", signup.Rules{Disposable: signup.EmbeddedDisposable().Has}, "ada@x.mailinator.com", notAllowed},
		{"a permanent address", signup.Rules{Disposable: signup.EmbeddedDisposable().Has}, "ada@mailinator.lincoln.example", nil},
		{"a sub-address", signup.Rules{NoSubAddresses: true}, "ada+x@lincoln.example", subAddress},
		{"an address with a dash", signup.Rules{NoSubAddresses: true}, "ada-x@lincoln.example", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := refusals(t, c.email, c.rules); !slices.Equal(got, c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestReadDisposable(t *testing.T) {
	t.Parallel()
	list, err := signup.ReadDisposable(strings.NewReader("# a list\r\n\r\n  Wegwerf.example \nmüll.example\n"))
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]bool{
		"wegwerf.example": true, "a.b.wegwerf.example": true, "xn--mll-hoa.example": true, "example": false, "werf.example": false, "": false,
	} {
		if got := list.Has(domain); got != want {
			t.Errorf("%q: got %v", domain, got)
		}
	}
	for _, text := range []string{"", "# nothing\n", "a.example\nnot a domain\n", "<html>"} {
		if _, err := signup.ReadDisposable(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read as a list", text)
		}
	}
}

func TestParseDomains(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"": nil, " , ": nil, "Lincoln.example,@staff.lincoln.example., .müll.example": {"lincoln.example", "staff.lincoln.example", "xn--mll-hoa.example"},
	} {
		got, err := signup.ParseDomains(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"lincoln", "a b.example", "http://lincoln.example", "*.lincoln.example", "a..example"} {
		if got, err := signup.ParseDomains(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestParseFields(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]signup.Fields{
		"":        {},
		"company": {"company": signup.Optional},
		"givenName:required, phone:optional,postalCode:required": {
			"givenName": signup.Required, "phone": signup.Optional, "postalCode": signup.Required,
		},
	} {
		got, err := signup.ParseFields(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"email", "shoeSize:required", "phone:needed", "phone:", ":required", "phone,phone:required", ","} {
		if got, err := signup.ParseFields(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}
