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
	Source  string  `json:"source"`  // an address; for IPv6 its /64 is banned
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
	const longest = 10 * 365 * 24 * 3600
	if !(asked.Seconds >= 0 && asked.Seconds <= longest) {
		return nil, fmt.Errorf("%w: seconds must be from 0 to %d", ErrInvalid, longest)
	}
	d := time.Duration(asked.Seconds * float64(time.Second))
	if d == 0 && asked.Seconds > 0 {
		d = 1
	}
	ban := c.control.Ban(source, d)
	c.changed(who, "ban", ban.Source, "", d.String())
	return ban, nil
}

// sourceOf reads an address, or a prefix in the form of Ban.Source.
func sourceOf(text string) (netip.Addr, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil && (prefix.Bits() == 32 && prefix.Addr().Is4() || prefix.Bits() == 64 && prefix.Addr().Is6()) {
		return prefix.Addr(), nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return address, fmt.Errorf("%w: source must be an IP address: %w", ErrInvalid, err)
	}
	return address.Unmap().WithZone(""), nil
}

func (c *commands) unban(who string, r *http.Request) (any, error) {
	source, err := sourceOf(r.PathValue("source"))
	if err != nil {
		return nil, err
	}
	if !c.control.Unban(source) {
		return nil, fmt.Errorf("%w: %s is not banned", ErrNotFound, source)
	}
	c.changed(who, "ban", source.String(), "banned", "")
	return Changed{source.String(), []Change{{"ban", "banned", ""}}}, nil
}
