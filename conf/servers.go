package conf

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// serverFile is a file of found servers.
type serverFile struct{ Server, Servers []Server }

var serverFileSection = section[serverFile]{"the top level", []field[serverFile]{
	several("server", &serverSection, func(f *serverFile) *[]Server { return &f.Server }),
	several("servers", &serverSection, func(f *serverFile) *[]Server { return &f.Servers }),
}}

// ParseServers reads the text of a file of found servers for a backend with these
// settings of discovery: [[server]] tables, or servers = [] for none. What a server
// does not say of weight and maxconn is as there. name stands for the file's path in
// mistakes; the error is an Errors.
func ParseServers(name string, text []byte, discover *Discover) ([]Server, error) {
	files := []File{{name, text}}
	d := newDecoder(files)
	d.sections = []titled{&serverSection, &serverFileSection}
	var f serverFile
	if values := d.readDocuments(files); len(d.mistakes) == 0 {
		serverFileSection.decode(d, "", values, &f)
		if !d.given("server") && !d.given("servers") {
			d.fail("server", "is missing: write [[server]] tables with name and tcp or http, or servers = [] if there are none")
		}
		for list, servers := range map[string][]Server{"server": f.Server, "servers": f.Servers} {
			completeFound(servers, list, discover, d)
		}
		if len(f.Server) > 0 && len(f.Servers) > 0 {
			d.fail("servers", "is another list beside [[server]]: write one of them")
		}
	}
	if len(d.mistakes) > 0 {
		return nil, sorted(d.mistakes, d.files)
	}
	return slices.Concat(f.Server, f.Servers), nil
}

// completeFound fills in and validates the servers of a list of a file.
func completeFound(servers []Server, list string, discover *Discover, d *decoder) {
	for i := range servers {
		path := element(list, i)
		if !d.given(path + ".weight") {
			servers[i].Weight = discover.Weight
		}
		if !d.given(path + ".maxconn") {
			servers[i].MaxConn = discover.MaxConn
		}
	}
	completeServers(servers)
	validateServers(servers, list, d)
	for i := range servers {
		validateFound(&servers[i], element(list, i), discover.Endpoints, d)
	}
}

// validateFound reports a server at path without an address that its clients need.
func validateFound(s *Server, path string, needed []Endpoint, d *decoder) {
	if s.TCP == "" && s.HTTP == "" {
		if d.sound(join(path, "tcp"), join(path, "http")) {
			d.fail(path, "has no address: add tcp or http, such as tcp = \"192.0.2.1:9000\"")
		}
		return
	}
	for _, e := range needed {
		if at := join(path, string(e)); s.Address(e) == "" && d.sound(at) {
			d.fail(at, "is missing: clients of this backend need this address of every server")
		}
	}
}

// NewServer returns a server called name for backend b of c, from the keys of
// [[server]] without name, as encoding/json decodes them with UseNumber. The error
// has all mistakes, each as KEY: reason.
func (c *Config) NewServer(b *Backend, name string, keys map[string]any) (Server, error) {
	values := make(map[string]any, len(keys)+1)
	for k, v := range keys {
		values[k] = fromJSON(v)
	}
	d := newDecoder([]File{{}})
	d.positions = &positions{at: map[string]position{}}
	if _, given := keys["name"]; given {
		d.fail("name", "stands in the address of the request already: leave it out")
	}
	values["name"] = name
	d.positions.fill("", values)
	made := make([]Server, 1)
	serverSection.fill(&made[0])
	serverSection.decode(d, "", values, &made[0])
	completeServers(made)
	needed := make([]Endpoint, 0, 2)
	for _, e := range serverEndpoints {
		if endpointNeeds(c, b, d)[e] != "" {
			needed = append(needed, e)
		}
	}
	validateFound(&made[0], "", needed, d)
	for _, e := range serverEndpoints {
		validateOther(b.Servers, &made[0], e, d)
	}
	return made[0], described(d.mistakes)
}

// validateOther reports an address that another server has.
func validateOther(servers []Server, s *Server, e Endpoint, d *decoder) {
	address := s.Address(e)
	if !d.given(string(e)) || address == "" {
		return
	}
	for i := range servers {
		if other := &servers[i]; other.Name != s.Name && slices.ContainsFunc(serverEndpoints, func(o Endpoint) bool {
			return withoutDot(other.Address(o)) == withoutDot(address)
		}) {
			d.fail(string(e), "%q is an address of server %q already: each server needs its own addresses", address, other.Name)
			return
		}
	}
}

// described returns all mistakes as one error without a file and lines, nil if there
// are none.
func described(mistakes Errors) error {
	if len(mistakes) == 0 {
		return nil
	}
	var all []string
	for _, m := range sorted(mistakes, nil) {
		if m.Key == "" {
			m.Key = "server"
		}
		all = append(all, m.Key+": "+m.Reason)
	}
	return fmt.Errorf("%s", strings.Join(all, "; "))
}

// fromJSON returns a value of JSON as a TOML document has it.
func fromJSON(raw any) any {
	n, isNumber := raw.(json.Number)
	if !isNumber {
		return raw
	}
	if whole, err := n.Int64(); err == nil {
		return whole
	}
	number, _ := n.Float64()
	if whole := math.Trunc(number); whole == number && math.Abs(number) < 1<<53 {
		return int64(whole) // 1e2 and 100.0 are 100
	}
	return number
}

// ServerValue returns the text of a value for a key of [[server]], as a command line has
// it, in the type that the key has. What does not fit stays text: NewServer says what is
// wrong with it.
func ServerValue(key, text string) any {
	for _, f := range serverSection.fields {
		if f.name != key {
			continue
		}
		switch f.schema()["type"] {
		case "integer":
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				return n
			}
		case "boolean":
			if b, err := strconv.ParseBool(text); err == nil {
				return b
			}
		}
	}
	return text
}
