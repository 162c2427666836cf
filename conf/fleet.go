package conf

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Fleet is the section [fleet]: what several balancers share.
type Fleet struct {
	Redis    Redis
	Name     string  // balancers of one name are one fleet
	Instance string  // this balancer in it; "" = host name and admin address
	Shares   []Share // without duplicates
}

// Has reports whether the fleet shares s.
func (f *Fleet) Has(s Share) bool { return slices.Contains(f.Shares, s) }

// Share is one kind of what balancers share.
type Share string

// The values of [fleet] shares.
const (
	ShareSticky Share = "sticky" // sources that policy source displaced
	ShareBans   Share = "bans"
	ShareRates  Share = "rates"
)

// Redis is the address of a Redis or Valkey server, and how to log in. The zero value
// is none. It can be compared. Its String has no password.
type Redis struct {
	Network  string // "tcp" or "unix"; "" = none
	Address  string // host:port, or a path
	TLS      bool   // verified by the system's roots, for the host of Address
	User     string // "" = the default user
	Password Secret
	Database int
}

// Secret is a word that is never shown: fmt and encoding/json print a placeholder. The
// zero value is none. Convert it to a string to use it.
type Secret string

// placeholder stands for a secret.
const placeholder = "***"

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return placeholder
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// secretSeed makes fingerprints worthless outside this process.
var secretSeed = maphash.MakeSeed()

// fingerprint tells secrets apart in the log of a reload.
func (s Secret) fingerprint() string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("secret-%08x", uint32(maphash.String(secretSeed, string(s))))
}

// String returns the URL of r with a placeholder for the password; "" for none.
func (r Redis) String() string { return r.url(r.Password.String()) }

// url returns the URL of r with the password given.
func (r Redis) url(password string) string {
	if r.Network == "" {
		return ""
	}
	login := ""
	if r.User != "" || password != "" {
		login = url.PathEscape(r.User)
		if password != "" {
			login += ":" + password
		}
		login += "@"
	}
	switch {
	case r.Network == "unix":
		return fmt.Sprintf("unix://%s%s?db=%d", login, r.Address, r.Database)
	case r.TLS:
		return fmt.Sprintf("rediss://%s%s/%d", login, r.Address, r.Database)
	}
	return fmt.Sprintf("redis://%s%s/%d", login, r.Address, r.Database)
}

// redisURL is the type of fleet.redis. Its messages never quote the value, which may
// contain a password.
var redisURL = scalar(func(raw any) (Redis, error) {
	s, ok := raw.(string)
	if !ok {
		return Redis{}, errRedis
	}
	return parseRedis(s)
}, func(r Redis) string { return strconv.Quote(r.url(r.Password.fingerprint())) }).in(node{"type": "string"})

var errRedis = errors.New(`must be "" or a URL, such as "redis://:PASSWORD@redis.example.com:6379/0", with rediss:// for TLS, or "unix:///run/redis/redis.sock"`)

// parseRedis reads the URL of a Redis server; "" is none.
func parseRedis(s string) (r Redis, err error) {
	if s == "" {
		return r, nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return r, fmt.Errorf("%w; characters of the password that have a meaning in URLs are written as %%XX, such as %%2F for a slash", errRedis)
	}
	password, _ := u.User.Password()
	r.User, r.Password = u.User.Username(), Secret(password)
	if hasControls(r.User+password) || u.Fragment != "" || u.Opaque != "" {
		return Redis{}, errRedis
	}
	switch u.Scheme {
	case "redis", "rediss":
		r.Network, r.TLS = "tcp", u.Scheme == "rediss"
		err = r.atHost(u)
	case "unix":
		r.Network = "unix"
		err = r.atPath(u)
	default:
		err = errRedis
	}
	if err != nil {
		return Redis{}, err
	}
	return r, nil
}

// atHost sets address and database of a server reached by TCP.
func (r *Redis) atHost(u *url.URL) (err error) {
	host, port := u.Hostname(), cmp.Or(u.Port(), "6379")
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%w: its port must be a number from 1 to 65535", errRedis)
	}
	if _, notIP := netip.ParseAddr(host); notIP != nil && !isHostName(host) {
		return fmt.Errorf("%w: what stands before the port is no host", errRedis)
	}
	if u.RawQuery != "" {
		return fmt.Errorf("%w: it must have no query (?...)", errRedis)
	}
	r.Address = net.JoinHostPort(host, port)
	return r.inDatabase(strings.Trim(u.Path, "/"))
}

// atPath sets address and database of a server reached by a Unix socket.
func (r *Redis) atPath(u *url.URL) error {
	if u.Host != "" || !path.IsAbs(u.Path) || hasControls(u.Path) {
		return fmt.Errorf("%w: a socket's path is absolute, so that there are three slashes", errRedis)
	}
	query := u.Query()
	for name := range query {
		if name != "db" {
			return fmt.Errorf("%w: its query can only be ?db=NUMBER", errRedis)
		}
	}
	r.Address = u.Path
	return r.inDatabase(query.Get("db"))
}

// inDatabase sets the database.
func (r *Redis) inDatabase(number string) (err error) {
	n, err := strconv.ParseUint(cmp.Or(number, "0"), 10, 16)
	if err != nil {
		return fmt.Errorf("%w: the database is a number", errRedis)
	}
	r.Database = int(n)
	return nil
}

// fleetName is the type of fleet.name.
var fleetName = word(`a name, such as "mcplb"`, func(s string) (string, error) {
	if err := checkName(s); err != nil {
		return "", fmt.Errorf("is not a valid name for a fleet: %w", err)
	}
	return s, nil
})

// longestInstance bounds the name of a balancer, since every balancer shows it.
const longestInstance = 128

// instanceName is the type of fleet.instance.
var instanceName = word(`a name, such as "lb1"`, func(s string) (string, error) {
	for _, c := range s {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' {
			return "", fmt.Errorf("must have no spaces, quotes, angle brackets or characters beyond ASCII, not be %s", quoted(s))
		}
	}
	if len(s) > longestInstance {
		return "", fmt.Errorf("must have at most %d characters, not %d", longestInstance, len(s))
	}
	return s, nil
})
