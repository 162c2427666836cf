package admin

import (
	"fmt"
	"net/http"
	"net/netip"
)

func (c *commands) connections(_ string, r *http.Request) (any, error) {
	filter, err := filterOf(r)
	if err != nil {
		return nil, err
	}
	most, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	list, err := c.control.ListConnections(r.Context(), filter, most)
	list.Connections = present(list.Connections)
	return list, err
}

// filterOf reads the filter from the query.
func filterOf(r *http.Request) (ConnectionFilter, error) {
	query := r.URL.Query()
	filter := ConnectionFilter{Backend: query.Get("backend"), Server: query.Get("server")}
	if filter.Server != "" && filter.Backend == "" {
		return filter, fmt.Errorf("%w: also name the server's backend", ErrInvalid)
	}
	if client := query.Get("client"); client != "" {
		var err error
		if filter.Client, err = clientOf(client); err != nil {
			return filter, err
		}
	}
	return filter, nil
}

// clientOf reads which clients are meant: an address alone, or a CIDR.
func clientOf(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		address = address.Unmap().WithZone("")
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	clients, err := sourceOf(text)
	if err != nil {
		return clients, fmt.Errorf("client: %w", err)
	}
	return clients, nil
}

// Killed is the response of a command that ends connections.
type Killed struct {
	Ended int `json:"ended"`
}

func (c *commands) kill(who string, r *http.Request) (any, error) {
	filter, err := filterOf(r)
	if err != nil {
		return nil, err
	}
	if filter == (ConnectionFilter{}) {
		return nil, fmt.Errorf("%w: name a backend, a server of it, or a client", ErrInvalid)
	}
	n, err := c.control.Kill(r.Context(), filter)
	if err == nil {
		c.log.Info("command", "by", who, "ended", n, "backend", filter.Backend, "server", filter.Server, "client", r.URL.Query().Get("client"))
	}
	return Killed{n}, err
}

func (c *commands) killOne(who string, r *http.Request) (any, error) {
	if err := c.control.KillOne(r.Context(), r.PathValue("id")); err != nil {
		return nil, err
	}
	c.log.Info("command", "by", who, "ended", 1, "connection", r.PathValue("id"))
	return Killed{1}, nil
}
