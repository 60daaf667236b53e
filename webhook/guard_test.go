package webhook_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"homeroom/catalog"
	"homeroom/webhook"
)

func TestAddressesThatAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *webhook.Config) { c.Allow = nil })
	refused := []string{
		// this machine, in all notations
		"127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]",
		// private networks, those of carriers, and link-local ones
		"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "169.254.1.1", "[fc00::1]", "[fd12:3456::1]",
		"[fe80::1]", "[fe80::1%25eth0]", "[fec0::1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]",
		// metadata services of clouds
		"169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "192.0.0.192", "[::ffff:168.63.129.16]",
		// multicast, broadcast and reserved
		"224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1", "[ff02::1]", "192.0.2.1", "198.51.100.1", "203.0.113.1", "[2001:db8::1]",
		"198.18.0.1", "[100::1]",
		// addresses that can contain a private IPv4 address: NAT64, 6to4, Teredo
		"[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a00:1]", "[2002:7f00:1::]", "[2002:a00:1::1]", "[2001:0:5ef5:79fb::1]",
	}
	for _, host := range refused {
		_, _, err := b.service.Add(t.Context(), me, webhook.EndpointParams{URL: "https://" + host + "/hooks"})
		equal(t, "url address_refused", invalid(err), host)
		_, _, err = b.service.Add(t.Context(), me, webhook.EndpointParams{URL: "https://" + host + ":8443/hooks"})
		equal(t, "url address_refused", invalid(err), host+" with a port")
	}
	for _, host := range []string{"93.184.215.14", "8.8.8.8:443", "[2606:4700::1111]", "[2606:4700::1111]:443", "100.63.0.1", "172.32.0.1", "hooks.lincoln.example"} {
		_, _, err := b.service.Add(t.Context(), me, webhook.EndpointParams{URL: "https://" + host + "/hooks"})
		check(t, err)
	}
	for _, host := range []string{"8.8.8.8:8443", "8.8.8.8:22", "8.8.8.8:80", "[2606:4700::1111]:6379", "hooks.lincoln.example:8443"} {
		_, _, err := b.service.Add(t.Context(), me, webhook.EndpointParams{URL: "https://" + host + "/hooks"})
		equal(t, "url port_refused", invalid(err), host)
	}
	allowing := b.serviceOn(b.catalog, func(c *webhook.Config) { c.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	for text, want := range map[string]string{
		"https://10.1.2.3:8443": "", "http://10.1.2.3:3000": "", "https://8.8.8.8:8443": "url port_refused",
		"https://hooks.lincoln.example:8443": "", // a name is resolved when it is called
	} {
		_, _, err := allowing.Add(t.Context(), me, webhook.EndpointParams{URL: text})
		equal(t, want, invalid(err), text)
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	strict := b.serviceOn(b.catalog, func(c *webhook.Config) { c.Allow = nil })
	for text, want := range map[string]string{
		"":                                     "url required",
		"hooks.lincoln.example":                "url invalid_format",
		"//hooks.lincoln.example":              "url invalid_format",
		"/hooks":                               "url invalid_format",
		"https:":                               "url invalid_format",
		"https://":                             "url invalid_format",
		"https:///hooks":                       "url invalid_format",
		"https://:443/hooks":                   "url invalid_format",
		"https:hooks.lincoln.example":          "url invalid_format",
		"ftp://hooks.lincoln.example":          "url invalid_format",
		"file:///etc/passwd":                   "url invalid_format",
		"javascript:alert(1)":                  "url invalid_format",
		"https://hooks.lincoln.example:0":      "url invalid_format",
		"https://hooks.lincoln.example:70000":  "url invalid_format",
		"https://hooks.lincoln.example:":       "url invalid_format",
		"https://hooks.lincoln.example:http":   "url invalid_format",
		"https://ada@hooks.lincoln.example":    "url invalid_format",
		"https://ada:pw@hooks.lincoln.example": "url invalid_format",
		"https://@hooks.lincoln.example":       "url invalid_format",
		"https://hooks.lincoln.example/#x":     "url invalid_format",
		"https://hooks.lincoln.example/#":      "url invalid_format",
		"https://hooks.lincoln.example/\nx":    "url invalid_format",
		"https://hooks .lincoln.example/":      "url invalid_format",
		"http://hooks.lincoln.example":         "url not_https",
		"http://93.184.215.14":                 "url not_https",
		"https://hooks.lincoln.example/" + strings.Repeat("x", 2000): "url too_long",
	} {
		_, _, err := strict.Add(t.Context(), me, webhook.EndpointParams{URL: text})
		equal(t, want, invalid(err), text)
	}
	equal(t, 0, value[int](b, `select count(*) from webhook_endpoints`), "webhooks")
	endpoint, _, err := strict.Add(t.Context(), me, webhook.EndpointParams{URL: "  https://Hooks.Lincoln.example:443/a?token=1  ", Events: []string{"user.created", "tenant.ready", "user.created"}})
	check(t, err)
	equal(t, "https://Hooks.Lincoln.example:443/a?token=1", endpoint.URL, "the stored URL")
	equal(t, "tenant.ready user.created", strings.Join(endpoint.Events, " "), "the stored events")

	t.Run("a name with another port of the internet", func(t *testing.T) {
		names := serveNames(t)
		names.now("93.184.215.14")
		service := b.serviceOn(b.catalog, func(c *webhook.Config) { c.Resolver = names.resolver() })
		endpoint, _, err := service.Add(t.Context(), me, webhook.EndpointParams{URL: "https://hooks.lincoln.example:8443/hooks"})
		check(t, err)
		outcome, err := service.Ping(t.Context(), me, endpoint.ID)
		check(t, err)
		equal(t, "the port 8443 of 93.184.215.14 is not one that may be called", outcome.Problem, "no connection is made")
	})
	t.Run("plain HTTP is only for allowed networks", func(t *testing.T) {
		for text, want := range map[string]string{
			"http://127.0.0.1:3000": "", "http://localhost:3000": "", "http://127.0.0.2:3000": "url not_https", "http://93.184.215.14": "url not_https",
		} {
			_, _, err := b.service.Add(t.Context(), me, webhook.EndpointParams{URL: text})
			equal(t, want, invalid(err), text)
		}
	})
	t.Run("all invalid fields are reported together", func(t *testing.T) {
		_, _, err := b.service.Add(t.Context(), me, webhook.EndpointParams{URL: "x", Description: strings.Repeat("é", 201), Events: []string{"tenant.*"}})
		equal(t, "url invalid_format, description too_long, events invalid_choice", invalid(err), "")
		_, err = b.service.Change(t.Context(), me, endpoint.ID, webhook.Change{URL: new("http://10.0.0.1"), Description: new("a\x1b[31mb")})
		equal(t, "url not_https, description invalid_characters", invalid(err), "a change")
		check(t, func() error {
			_, err := b.service.Change(t.Context(), me, endpoint.ID, webhook.Change{Description: new(strings.Repeat("é", 200))})
			return err
		}())
	})
}

// invalid lists the invalid fields, as "field code".
func invalid(err error) string {
	var wrong *webhook.InvalidError
	if !errors.As(err, &wrong) {
		return ""
	}
	var all []string
	for _, field := range wrong.Fields {
		all = append(all, field.Field+" "+field.Code)
	}
	return strings.Join(all, ", ")
}

// TestANameThatResolvesToAnotherAddressTheNextTime: the guard checks the dialled address, each time.
func TestANameThatResolvesToAnotherAddressTheNextTime(t *testing.T) {
	t.Parallel()
	names := serveNames(t)
	b := setup(t, func(c *webhook.Config) { c.Resolver = names.resolver() })
	r := receive(t, nil)
	port := portOf(t, r.URL)
	secrets := listen(t, "127.0.0.2:"+port) // the attacker's target: on this machine, and not allowed
	endpoint, _ := b.add("http://hooks.lincoln.example:" + port + "/hooks")
	send := func() string {
		t.Helper()
		outcome, err := b.service.Ping(t.Context(), me, endpoint.ID)
		check(t, err)
		return outcome.Problem
	}
	names.now("127.0.0.1")
	equal(t, "", send(), "an allowed address")
	equal(t, 1, len(r.all()), "requests")
	for _, address := range []string{"127.0.0.2", "169.254.169.254", "10.0.0.1", "0.0.0.0", "93.184.215.14"} {
		names.now(address)
		equal(t, "the address "+address+" is not one that may be called", send(), "by plain HTTP")
	}
	names.now("127.0.0.2", "127.0.0.1")
	equal(t, "", send(), "of two addresses the allowed one is called")
	equal(t, 2, len(r.all()), "requests")
	equal(t, 0, len(secrets.all()), "requests to an address that is not allowed")
	names.now()
	equal(t, "its name cannot be found", send(), "no address")

	t.Run("addresses outside of the internet are refused for TLS too", func(t *testing.T) {
		_, err := b.service.Change(t.Context(), me, endpoint.ID, webhook.Change{URL: new("https://hooks.lincoln.example:" + port)})
		check(t, err)
		for _, address := range []string{"127.0.0.2", "169.254.169.254", "10.0.0.1", "100.64.0.1", "168.63.129.16", "0.0.0.0", "224.0.0.1"} {
			names.now(address)
			equal(t, "the address "+address+" is not one that may be called", send(), "by TLS")
		}
		equal(t, 0, len(secrets.all()), "connections to an address that is not allowed")
	})
	t.Run("a refused delivery is retried, and its problem is recorded", func(t *testing.T) {
		names.now("127.0.0.2")
		b.emit(catalog.UserCreated)
		d := b.single(endpoint.ID)
		b.deliver(d.ID)
		d = b.single(endpoint.ID)
		equal(t, catalog.DeliveryPending, d.State, "state")
		equal(t, "the address 127.0.0.2 is not one that may be called", *d.LastProblem, "problem")
	})
}

func TestTLS(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(status(204))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it logs every handshake that the test breaks
	secure.StartTLS()
	t.Cleanup(secure.Close)
	roots := secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	names := serveNames(t)
	names.now("127.0.0.1")
	b := setup(t, func(c *webhook.Config) { c.Roots, c.Resolver = roots, names.resolver() })
	strangers := b.serviceOn(b.catalog)
	send := func(service *webhook.Service, address string) string {
		endpoint, _ := b.add(address)
		outcome, err := service.Ping(t.Context(), me, endpoint.ID)
		check(t, err)
		return outcome.Problem
	}
	equal(t, "", send(b.service, secure.URL), "a trusted certificate")
	equal(t, "its certificate is not good", send(strangers, secure.URL), "an untrusted certificate")
	equal(t, "its certificate is not good", send(b.service, "https://hooks.lincoln.example:"+portOf(t, secure.URL)), "one for another name")
	equal(t, "the connection was refused", send(b.service, "http://127.0.0.1:1"), "nobody there")
	equal(t, "it answered 400", send(b.service, strings.Replace(secure.URL, "https", "http", 1)), "plain HTTP to a TLS server")
}

// TestProxiesOfTheEnvironmentAreNotUsed: a proxy would connect for us, without the guard.
func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	proxy := receive(t, nil)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	names := serveNames(t)
	names.now("127.0.0.2")
	b := setup(t, func(c *webhook.Config) { c.Resolver = names.resolver() })
	endpoint, _ := b.add("http://hooks.lincoln.example/")
	outcome, err := b.service.Ping(t.Context(), me, endpoint.ID)
	check(t, err)
	equal(t, "the address 127.0.0.2 is not one that may be called", outcome.Problem, "problem")
	equal(t, 0, len(proxy.all()), "requests through the proxy")
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	check(t, err)
	return u.Port()
}

// listen starts a receiver at exactly this address.
func listen(t *testing.T, address string) *receiver {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	check(t, err)
	r := &receiver{}
	server := httptest.NewUnstartedServer(r)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return r
}

// names is a name server that gives the test's answers.
type names struct {
	conn net.PacketConn

	mu        sync.Mutex
	addresses []netip.Addr
}

func serveNames(t *testing.T) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	n := &names{conn: conn}
	var group sync.WaitGroup
	group.Go(n.serve)
	t.Cleanup(func() {
		conn.Close()
		group.Wait()
	})
	return n
}

// now resolves every name to these addresses.
func (n *names) now(addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addresses = nil
	for _, text := range addresses {
		n.addresses = append(n.addresses, netip.MustParseAddr(text))
	}
}

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", n.conn.LocalAddr().String())
	}}
}

func (n *names) serve() {
	buffer := make([]byte, 1024)
	for {
		size, from, err := n.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var question dnsmessage.Message
		if question.Unpack(buffer[:size]) == nil && len(question.Questions) == 1 {
			answer, _ := n.answer(question)
			_, _ = n.conn.WriteTo(answer, from)
		}
	}
}

func (n *names) answer(question dnsmessage.Message) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := question.Questions[0]
	message := dnsmessage.Message{Header: dnsmessage.Header{ID: question.ID, Response: true, Authoritative: true}, Questions: question.Questions}
	for _, address := range n.addresses {
		if asked.Type == dnsmessage.TypeA {
			message.Answers = append(message.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: asked.Name, Type: asked.Type, Class: asked.Class},
				Body:   &dnsmessage.AResource{A: address.As4()},
			})
		}
	}
	return message.Pack()
}
