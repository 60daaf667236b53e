package httpapi_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"homeroom/admission"
	"homeroom/catalog"
)

// behindProxies believes the proxies of 127.0.0.0/8 and 10.0.0.0/8, and allows each client one sign-up an hour.
func behindProxies(c *config) {
	c.admission.Rate = &catalog.Allowance{Count: 1, Window: time.Hour}
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
}

func TestProxiesWriteAddressesInManyWays(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: behindProxies})
	n := 0
	for forwarded, want := range map[string]string{
		"198.51.100.4:40001":                  "198.51.100.4",
		"198.51.100.4":                        "198.51.100.4",
		"[198.51.100.4]:443":                  "127.0.0.1",
		"[2001:db8::1]:443":                   "2001:db8::1",
		"[2001:db8::1]":                       "2001:db8::1",
		"2001:db8::1":                         "2001:db8::1",
		"[::ffff:198.51.100.4]:9":             "198.51.100.4",
		"fe80::1%eth0":                        "fe80::1",
		"198.51.100.4, ":                      "198.51.100.4",
		", 198.51.100.4:1,, 10.0.0.1:80 ,":    "198.51.100.4",
		"8.8.8.8, 198.51.100.4:1, 10.0.0.1":   "198.51.100.4",
		",":                                   "127.0.0.1",
		"unknown":                             "127.0.0.1",
		"198.51.100.4, unknown":               "127.0.0.1",
		"198.51.100.4, _hidden, 10.0.0.1":     "10.0.0.1",
		"[2001:db8::1":                        "127.0.0.1",
		"198.51.100.4:99999":                  "127.0.0.1",
		"198.51.100.4, 198.51.100.4.evil:443": "127.0.0.1",
	} {
		n++
		id := fmt.Sprint("request-", n)
		w.call("GET", "/nothing", "", "X-Forwarded-For: "+forwarded, "X-Request-Id: "+id)
		equal(t, want, w.logLine(id)["client"], forwarded)
	}
}

func TestEachClientBehindAProxyThatAddsPortsHasItsOwnAllowance(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: behindProxies})
	for i := range 5 {
		r := w.call("POST", "/users", form(fmt.Sprintf("p%d@lincoln.example", i), "Lincoln High"), fmt.Sprintf("X-Forwarded-For: 198.51.100.%d:40001", i))
		equal(t, 201, r.Status, r.Body)
	}
	r := w.call("POST", "/users", form("p9@lincoln.example", "Lincoln High"), "X-Forwarded-For: 198.51.100.4:40002")
	equal(t, 429, r.Status, "another port is the same client")
}

// TestAnAddressInAnotherSpellingIsTheSameClient: 6to4 and NAT64 hold an IPv4 address, which is not as cheap as theirs.
func TestAnAddressInAnotherSpellingIsTheSameClient(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: behindProxies})
	count := 0
	send := func(from string) int {
		count++
		return w.call("POST", "/users", form(fmt.Sprintf("p%d@lincoln.example", count), "Lincoln High"), "X-Forwarded-For: "+from).Status
	}
	equal(t, 201, send("198.51.100.4"))
	for _, same := range []string{"2002:c633:6404::1", "2002:c633:6404:7:8::9", "64:ff9b::c633:6404", "::ffff:198.51.100.4", "[64:ff9b::198.51.100.4]:80"} {
		equal(t, 429, send(same), same)
	}
	equal(t, 201, send("2002:c633:6405::1"))
}

// TestAWholeSiteHasAnAllowance: somebody with a /48 has 65,536 networks.
func TestAWholeSiteHasAnAllowance(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: behindProxies})
	count := 0
	send := func(from string) int {
		count++
		return w.call("POST", "/users", form(fmt.Sprintf("p%d@lincoln.example", count), "Lincoln High"), "X-Forwarded-For: "+from).Status
	}
	equal(t, 201, send("2001:db8:1:0::1"))
	for range 20 {
		equal(t, 429, send("2001:db8:1:0::2"), "one network has one")
	}
	for i := range 7 {
		equal(t, 201, send(fmt.Sprintf("2001:db8:1:%x::1", i+1)), "what was refused was not taken from the site")
	}
	var before, after int
	rows := func(into *int) {
		check(t, w.catalog.Pool().QueryRow(t.Context(), `select count(*) from rate_limits`).Scan(into))
	}
	rows(&before)
	for i := range 30 {
		equal(t, 429, send(fmt.Sprintf("2001:db8:1:%x::1", i+100)), "the site has eight")
	}
	rows(&after)
	equal(t, before, after, "networks of a site that has none left make no rows")
	equal(t, 201, send("2001:db8:2::1"), "another site")
}

// TestARefusedSignUpTakesNothingFromTheOthers: otherwise nobody could sign up once somebody has asked often enough for
// addresses that have accounts.
func TestARefusedSignUpTakesNothingFromTheOthers(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: func(c *config) { c.admission.Budget = admission.Budget{Minute: 3, Day: 3} }})
	const key = "Idempotency-Key: 0123456789abcdef"
	equal(t, 201, w.call("POST", "/users", form("ada@lincoln.example", "Lincoln High"), key).Status)
	for range 10 {
		equal(t, 409, w.call("POST", "/users", form("ada@lincoln.example", "Lincoln High")).Status)
	}
	for range 10 {
		r := w.call("POST", "/users", form("eve@lincoln.example", "Lincoln High"), key)
		equal(t, "IDEMPOTENCY_MISMATCH", r.code(t), "a repetition, which took nothing, gives nothing back")
	}
	equal(t, 201, w.call("POST", "/users", form("bob@lincoln.example", "Lincoln High")).Status)
	equal(t, 201, w.call("POST", "/users", form("eve@lincoln.example", "Lincoln High")).Status)
	r := w.call("POST", "/users", form("mia@lincoln.example", "Lincoln High"))
	equal(t, "SIGNUP_BUDGET", r.code(t), "what was taken stays taken")
}
