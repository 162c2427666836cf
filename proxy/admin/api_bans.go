package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"
)

// BanList is the response of /api/v1/bans.
type BanList struct {
	Bans []Ban `json:"bans"` // sorted by address
}

func (c *commands) bans(_ string, r *http.Request) (any, error) {
	most, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	return BanList{present(c.control.Bans(most))}, nil
}

// BanRequest is the body of POST /api/v1/bans.
type BanRequest struct {
	Source  string  `json:"source"`  // an address, or a CIDR; for an IPv6 address its /64 is banned
	Seconds float64 `json:"seconds"` // 0 = until the ban is lifted
}

func (c *commands) ban(who string, r *http.Request) (any, error) {
	var asked BanRequest
	if err := decode(r, &asked); err != nil {
		return nil, err
	}
	source, err := sourceOf(asked.Source)
	if err != nil {
		return nil, err
	}
	if source.Bits() == 0 {
		return nil, fmt.Errorf("%w: a ban of %s would refuse every client; to refuse new clients, set the servers to maint", ErrInvalid, source)
	}
	const longest = 10 * 365 * 24 * 3600
	if !(asked.Seconds >= 0 && asked.Seconds <= longest) {
		return nil, fmt.Errorf("%w: seconds must be from 0 to %d", ErrInvalid, longest)
	}
	d := time.Duration(asked.Seconds * float64(time.Second))
	if d == 0 && asked.Seconds > 0 {
		d = 1
	}
	ban, err := c.control.Ban(source, d)
	if err != nil {
		return nil, err
	}
	c.changed(who, "ban", ban.Source, "", d.String())
	return ban, nil
}

// sourceOf reads what is to be banned, or no longer: a CIDR, or an address, which
// stands for itself if it is IPv4 and for its /64 if it is IPv6. The result has no
// host bits and is of IPv4 where the text is of IPv4-mapped addresses.
func sourceOf(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		address = address.Unmap().WithZone("")
		if address.Is4() {
			return netip.PrefixFrom(address, 32), nil
		}
		return netip.PrefixFrom(address, 64).Masked(), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, fmt.Errorf("%w: source must be an address, such as 192.0.2.7, or a CIDR, such as 10.0.0.0/8, not %q", ErrInvalid, text)
	}
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	customer := prefix.Addr().Is6() && prefix.Bits() == 64 // as an interface shows its address
	if prefix != prefix.Masked() && !customer {
		return prefix, fmt.Errorf("%w: %s has bits set beyond its first %d: write %s for the network, or %s for the address",
			ErrInvalid, text, prefix.Bits(), prefix.Masked(), prefix.Addr())
	}
	return prefix.Masked(), nil
}

func (c *commands) unban(who string, r *http.Request) (any, error) {
	source, err := sourceOf(r.PathValue("source"))
	if err != nil {
		return nil, err
	}
	if err := c.control.Unban(source); err != nil {
		return nil, err
	}
	c.changed(who, "ban", source.String(), "banned", "")
	return Changed{source.String(), []Change{{"ban", "banned", ""}}}, nil
}
