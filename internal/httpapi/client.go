package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddress is where a request comes from: the address of the connection, or, where that is a trusted proxy, the
// right-most one in X-Forwarded-For that is not. Everything further left may be the client's invention. All lines of the
// header count, since proxies differ in whether they extend the last or add one. See docs/decisions/http-api.md
// for why gin does not read it.
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

// parseHop reads an address as proxies write it: alone or with its port, and IPv6 with or without brackets.
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

// plain is the one form of an address: IPv4 as such, no zone.
func plain(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// The networks of IPv6 whose addresses hold one of IPv4: 6to4 (RFC 3056), and NAT64 (RFC 6052).
var (
	sixToFour = netip.MustParsePrefix("2002::/16")
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
)

// network is what counts as one client: an IPv4 address, however it is written, or the 64 bits of IPv6 that a subscriber is
// given at least.
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

// site is what one subscriber may have at most: the 48 bits of IPv6 that hold 65,536 networks. An IPv4 address has none, and
// is empty.
func site(address netip.Addr) string {
	if !address.Is6() || sixToFour.Contains(address) || nat64.Contains(address) {
		return ""
	}
	return prefix(address, 48)
}

func prefix(address netip.Addr, bits int) string {
	p, err := address.Prefix(bits)
	if err != nil {
		panic(err) // of bits that no address has
	}
	return p.String()
}
