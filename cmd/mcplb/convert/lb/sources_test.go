package lb

import (
	"slices"
	"testing"
)

// Rules that allow before others deny, and rules on two networks, must mean what they did.
func TestNetworks(t *testing.T) {
	for _, c := range []struct{ list, other, both, without []string }{
		{[]string{"10.0.0.0/8"}, []string{"10.1.0.0/16"}, []string{"10.1.0.0/16"}, []string{"10.128.0.0/9", "10.64.0.0/10", "10.32.0.0/11", "10.16.0.0/12", "10.8.0.0/13", "10.4.0.0/14", "10.2.0.0/15", "10.0.0.0/16"}},
		{[]string{"10.0.0.0/31"}, []string{"10.0.0.1"}, []string{"10.0.0.1"}, []string{"10.0.0.0/32"}},
		{[]string{"10.0.0.1"}, []string{"10.0.0.0/8"}, []string{"10.0.0.1"}, nil},
		{[]string{"10.0.0.1", "192.0.2.0/24"}, []string{"192.0.2.0/24", "172.16.0.0/12"}, []string{"192.0.2.0/24"}, []string{"10.0.0.1"}},
		{[]string{"2001:db8::/32"}, []string{"10.0.0.0/8"}, nil, []string{"2001:db8::/32"}},
		{[]string{"2001:db8::/127"}, []string{"2001:db8::1"}, []string{"2001:db8::1"}, []string{"2001:db8::/128"}},
		{[]string{"0.0.0.0/0"}, []string{"0.0.0.0/1", "128.0.0.0/1"}, []string{"0.0.0.0/1", "128.0.0.0/1"}, nil},
	} {
		both, err := Both(c.list, c.other)
		if err != nil || !slices.Equal(both, c.both) {
			t.Errorf("%v and %v have %v in common, want %v: %v", c.list, c.other, both, c.both, err)
		}
		without, err := Without(c.list, c.other)
		slices.Sort(without)
		slices.Sort(c.without)
		if err != nil || !slices.Equal(without, c.without) {
			t.Errorf("%v without %v: %v, want %v: %v", c.list, c.other, without, c.without, err)
		}
	}
	if _, err := Without([]string{"nothing"}, nil); err == nil {
		t.Error("a name is no network")
	}
}

// Of two lists of hosts, what a route for both may take is what is in both.
func TestBothHosts(t *testing.T) {
	for _, c := range []struct{ a, b, want []string }{
		{[]string{"a.example.com", "b.example.com"}, []string{"B.example.com"}, []string{"b.example.com"}},
		{[]string{"*.example.com"}, []string{"a.example.com", "example.com"}, []string{"a.example.com"}},
		{[]string{"*.example.com"}, []string{"*.a.example.com", "*.example.org"}, []string{"*.a.example.com"}},
		{[]string{"a.example.com"}, []string{"b.example.com"}, nil},
	} {
		if got := BothHosts(c.a, c.b); !slices.Equal(got, c.want) {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// Each port of a range must be listened on, and what is no range must be said.
func TestPorts(t *testing.T) {
	for ports, want := range map[string][]string{"80": {"h:80"}, "8448-8450": {"h:8448", "h:8449", "h:8450"}, "80-80": {"h:80"}, "90-80": nil, "0": nil, "a": nil, "1-": nil, "-1": nil, "65530-65536": nil, "1000-1200": nil, "": nil} {
		got, err := Ports("h", ports)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, %v, want %v", ports, got, err, want)
		}
	}
}
