package webhook

import (
	"fmt"
	"net/netip"
	"syscall"

	"code.dny.dev/ssrf"
)

// guard checks which addresses may be called. It checks every connection, after the name was resolved, which prevents DNS
// rebinding.
type guard struct {
	allow  []netip.Prefix
	public *ssrf.Guardian
}

// azureHostAgent is a public address at which Azure's host agent serves secrets of the machine.
var azureHostAgent = netip.MustParsePrefix("168.63.129.16/32")

// tlsPort is the only port that is called on the internet, so that nobody can attack other services through this one.
const tlsPort = 443

// newGuard permits addresses that are on the internet by IANA's registries of special addresses, on the port of HTTPS,
// and allowed networks, on any port. It rejects NAT64, 6to4 and Teredo, which can contain a private IPv4 address.
func newGuard(allow []netip.Prefix) *guard {
	return &guard{allow: allow, public: ssrf.New(ssrf.WithPorts(tlsPort), ssrf.WithDeniedV4Prefixes(azureHostAgent))}
}

// allowInternet is the Control of a [net.Dialer] for https: it rejects addresses that are neither on the internet nor
// allowed.
func (g *guard) allowInternet(network, address string, conn syscall.RawConn) error {
	if g.allowedOnly(network, address, conn) == nil {
		return nil
	}
	target, err := netip.ParseAddrPort(address)
	if err != nil || g.public.SafeAddr(target.Addr()) != nil {
		return refuse(address)
	}
	if g.public.Safe(network, address, conn) != nil {
		return &refusedError{fmt.Sprintf("the port %d of %s", target.Port(), target.Addr())}
	}
	return nil
}

// allowedOnly is the Control for plain http: it rejects addresses that are not allowed.
func (g *guard) allowedOnly(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || !g.allows(target.Addr()) {
		return refuse(address)
	}
	return nil
}

func (g *guard) allows(addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, prefix := range g.allow {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// permits reports whether a literal address in a URL may be called.
func (g *guard) permits(addr netip.Addr) bool {
	return g.allows(addr) || g.public.SafeAddr(addr.Unmap()) == nil
}

// refusedError names the address that may not be called.
type refusedError struct{ what string }

// Error implements error.
func (e *refusedError) Error() string {
	return e.what + " is not one that may be called"
}

func refuse(address string) error {
	if target, err := netip.ParseAddrPort(address); err == nil {
		address = target.Addr().String()
	}
	return &refusedError{"the address " + address}
}
