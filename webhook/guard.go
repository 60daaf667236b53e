package webhook

import (
	"fmt"
	"net/netip"
	"syscall"

	"code.dny.dev/ssrf"
)

// guard decides which addresses may be called. It is asked for every connection, with the address that is about to be
// dialled, so that a name that resolves to something else the second time gains nothing.
type guard struct {
	allow  []netip.Prefix
	public *ssrf.Guardian
}

// azureHostAgent is an address of Azure's host agent, which answers with secrets of the machine, among those of the internet.
var azureHostAgent = netip.MustParsePrefix("168.63.129.16/32")

// tlsPort is the only port that is called on the internet: what listens on others may be no receiver of webhooks, and is
// attacked from our address.
const tlsPort = 443

// newGuard lets in what is on the internet by IANA's registries of special addresses, on the port of HTTPS, and what is
// allowed, on any port. NAT64, 6to4 and Teredo, behind which a private IPv4 address can hide, are not.
func newGuard(allow []netip.Prefix) *guard {
	return &guard{allow: allow, public: ssrf.New(ssrf.WithPorts(tlsPort), ssrf.WithDeniedV4Prefixes(azureHostAgent))}
}

// internet is a [net.Dialer]'s Control: it refuses what is neither on the internet nor allowed.
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

// allowedOnly is one that refuses what is not allowed, for requests that anybody on the way could read.
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

// admits tells whether an address that stands in a URL may be called.
func (g *guard) permits(addr netip.Addr) bool {
	return g.allows(addr) || g.public.SafeAddr(addr.Unmap()) == nil
}

// refusedError says what may not be called.
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
