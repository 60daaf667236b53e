package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddress returns the address of the client: that of the connection, or, where it is a trusted proxy, the
// right-most address in X-Forwarded-For that is not a trusted proxy. Addresses further left may be forged by the
// client. All lines of the header are used, since some proxies extend the last line and others add one.
// docs/decisions/http-api.md says why gin does not read it.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := plain(peer.Addr())
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if hop = strings.TrimSpace(hop); hop == "" {
			continue // an empty line, or a comma too many
		}
		if !isTrusted(address, trusted) {
			break
		}
		next, ok := parseHop(hop)
		if !ok {
			break
		}
		address = next
	}
	return address
}

// parseHop reads an address as proxies write it: with or without a port, and IPv6 with or without brackets.
func parseHop(hop string) (netip.Addr, bool) {
	if withPort, err := netip.ParseAddrPort(hop); err == nil {
		return plain(withPort.Addr()), true
	}
	if inner, ok := strings.CutPrefix(hop, "["); ok {
		if hop, ok = strings.CutSuffix(inner, "]"); !ok {
			return netip.Addr{}, false
		}
	}
	address, err := netip.ParseAddr(hop)
	return plain(address), err == nil
}

func isTrusted(address netip.Addr, trusted []netip.Prefix) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(address) })
}

// plain returns the normal form of an address: IPv4 as such, without a zone.
func plain(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// These IPv6 networks contain IPv4 addresses: 6to4 (RFC 3056), and NAT64 (RFC 6052).
var (
	sixToFour = netip.MustParsePrefix("2002::/16")
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
)

// network returns what counts as one client: an IPv4 address, or the 64 bits of an IPv6 address that a subscriber
// gets at least.
func network(address netip.Addr) string {
	bytes := address.As16()
	switch {
	case sixToFour.Contains(address):
		address = netip.AddrFrom4([4]byte(bytes[2:6]))
	case nat64.Contains(address):
		address = netip.AddrFrom4([4]byte(bytes[12:16]))
	case address.Is6():
		return prefix(address, 64)
	}
	return address.String()
}

// site returns the largest network of one subscriber: 48 bits of an IPv6 address, which contain 65,536 networks. It
// is empty for an IPv4 address.
func site(address netip.Addr) string {
	if !address.Is6() || sixToFour.Contains(address) || nat64.Contains(address) {
		return ""
	}
	return prefix(address, 48)
}

func prefix(address netip.Addr, bits int) string {
	p, err := address.Prefix(bits)
	if err != nil {
		panic(err) // the number of bits is wrong
	}
	return p.String()
}
