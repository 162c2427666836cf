package discovery

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"mcplb/conf"
)

// FuzzSlices checks that no list and no event of the API ends the balancer, and that
// what is found has addresses that can be connected to.
func FuzzSlices(f *testing.F) {
	for _, text := range []string{
		`{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a"},"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true},"targetRef":{"kind":"Pod","name":"web-1","uid":"u"}}],"ports":[{"name":"mcp","port":9001}]}]}`,
		`{"items":[null,{"endpoints":[{},{"addresses":[]},{"addresses":["fd00::1","x"]}],"ports":[{"port":80}]}]}`,
		`{"items":[{"endpoints":[{"addresses":["10.0.0.1:1"]},{"addresses":["0.0.0.0"]},{"addresses":["fe80::1%eth0"]}],"ports":[{"name":"mcp","port":70000},{"name":"http","port":-1}]}]}`,
		`{"items":[{"addressType":"FQDN","endpoints":[{"addresses":["a.example.com"]},{"addresses":["a b"]},{"addresses":[""]}],"ports":[{"name":null,"port":null},{"name":"mcp","port":1}]}]}`,
		`{"type":"ADDED","object":{"endpoints":null,"ports":null}}`, `{"type":"MODIFIED","object":null}`, `{"type":"ERROR","object":{"code":410}}`, `{"type":"DELETED"}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k := newByKubernetes(&conf.Discover{Kubernetes: &conf.Kubernetes{Ports: conf.NamedPorts{TCP: "mcp", HTTP: "http", SSE: "8081"}}})
		var page slicePage
		if json.Unmarshal([]byte(text), &page) == nil {
			all := event{replace: true}
			for i := range page.Items {
				all.slices = append(all.slices, &page.Items[i])
			}
			all.apply(k)
		}
		var said watchEvent
		if json.Unmarshal([]byte(text), &said) == nil {
			_ = k.heard(&said, func(e event) { e.apply(k) }) // an error is reported, and the watch begins again
		}
		for name, server := range k.pods() {
			if name == "" || server.Name != name {
				t.Errorf("%q: %+v", name, server)
			}
			for _, address := range []string{server.TCP, server.HTTP, server.SSE} {
				checkAddress(t, address)
			}
		}
	})
}

// checkAddress checks that an address is none, or an IP address or a name with a port.
func checkAddress(t *testing.T, address string) {
	t.Helper()
	if address == "" {
		return
	}
	if at, err := netip.ParseAddrPort(address); err == nil {
		if at.Port() == 0 || at.Addr().IsUnspecified() {
			t.Errorf("the address %q", address)
		}
		return
	}
	host, port, ok := strings.Cut(address, ":")
	if !ok || host == "" || port == "0" || strings.ContainsAny(host+port, " :/[]%\r\n") {
		t.Errorf("the address %q", address)
	}
}
