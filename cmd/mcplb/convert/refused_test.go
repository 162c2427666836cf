package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// convertText converts a text, in whose folder the files are.
func convertText(t *testing.T, language Language, text string, files map[string]string) *Result {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "in")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "@DIR@", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := Files(language, file)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// A section that loses what it needs must not make the rest of the file useless: mcplb
// would refuse all of it.
func TestSectionsWithoutTheirNeeds(t *testing.T) {
	for _, c := range []struct {
		language Language
		text     string
	}{
		{HAProxy, "listen \nbind 1.2.3:1"},
		{HAProxy, "frontend x\n bind 1.2.3:1\n default_backend b\nfrontend y\n bind :81\n default_backend b\nbackend b\n server a 10.0.0.1:1\n"},
		{HAProxy, "frontend y\n bind :81\n default_backend b\nbackend b\n server-template s 3 -x:1\n"},
	} {
		checkAccepted(t, convertText(t, c.language, c.text, nil))
	}
}

// A server-template with an address is a server: users lost it, and mcplb refused the file.
func TestTemplateOfAnAddress(t *testing.T) {
	result := convertText(t, HAProxy, "frontend f\n bind :81\n default_backend b\nbackend b\n server-template s 2-3 10.0.0.1:80 check\n", nil)
	checkAccepted(t, result)
	if text := result.Text; strings.Count(text, `tcp = "10.0.0.1:80"`) != 1 || !strings.Contains(text, `name = "s2"`) || strings.Contains(text, "discover") {
		t.Error(text)
	}
}

// HAProxy takes the longest beginning of a map, wherever it stands: in the order of the file
// requests would go to another backend.
func TestLongestOfMap(t *testing.T) {
	result := convertText(t, HAProxy, "defaults\n mode http\nfrontend f\n bind :81\n use_backend %[path,map_beg(@DIR@/m)]\n default_backend a\nbackend a\n server s 10.0.0.1:80\nbackend b\n server s 10.0.0.2:80\n",
		map[string]string{"m": "/img a\n/img/big b\n"})
	short, long := strings.Index(result.Text, `path = "/img"`), strings.Index(result.Text, `path = "/img/big"`)
	if long < 0 || short < long {
		t.Error(result.Text)
	}
}

// The PROXY header, times and TLS of one proxy_pass must not reach the servers of another one.
func TestSettingsOfOneUpstream(t *testing.T) {
	result := convertText(t, Nginx, "events {}\nstream { upstream u { server 10.0.0.1:80; }\nserver { listen 81; proxy_pass u; }\nserver { listen 82; proxy_pass u; proxy_protocol on; } }", nil)
	first, second, _ := strings.Cut(result.Text, "[backend.u_2]")
	if strings.Contains(first, "send_proxy") || !strings.Contains(second, `send_proxy = "v1"`) {
		t.Error(result.Text)
	}
}

// A redirect to https by X-Forwarded-Proto holds for nobody, or for everybody, until
// trusted_proxies are written: the report must say so.
func TestForwardedConditions(t *testing.T) {
	for language, text := range map[Language]string{
		HAProxy: "defaults\n mode http\nfrontend f\n bind :81\n acl plain hdr(X-Forwarded-Proto) http\n http-request redirect scheme https if plain\n http-request del-header X-Forwarded-Proto\n default_backend a\nbackend a\n server s 10.0.0.1:80\n",
		Nginx:   "events {}\nhttp { server { listen 81; if ($http_x_forwarded_proto = http) { return 301 https://$host$request_uri; } location / { proxy_pass http://10.0.0.1:80; } } }",
	} {
		result := convertText(t, language, text, nil)
		said := 0
		for _, d := range result.Directives() {
			if strings.Contains(d.Note(), "trusted_proxies alone") {
				said++
			}
		}
		if said != 1 {
			t.Errorf("%s: said of %d directives:\n%s", language, said, result.Text)
		}
	}
}

// "0" is every address of IPv4, as inet_aton(3) reads it: users lost the frontend.
func TestBindOfZero(t *testing.T) {
	result := convertText(t, HAProxy, "frontend f\n bind 0:8080\n default_backend b\nbackend b\n server s 10.0.0.1:80\n", nil)
	checkAccepted(t, result)
	if !strings.Contains(result.Text, `"0.0.0.0:8080"`) {
		t.Error(result.Text)
	}
}

// Exceptions of forwardfor are not translated, and the report says so of the header that is
// meant.
func TestForwardForExcept(t *testing.T) {
	for option, want := range map[string]string{
		"except 10.0.0.0/8":                    "X-Forwarded-For is always sent",
		"except 10.0.0.0/8 header X-Client-IP": "X-Client-IP is always sent",
		"header X-Client-IP if-none":           "X-Client-IP is always sent",
	} {
		result := convertText(t, HAProxy, "defaults\n mode http\nfrontend f\n bind :81\n option forwardfor "+option+"\n default_backend b\nbackend b\n server s 10.0.0.1:80\n", nil)
		checkAccepted(t, result)
		if !strings.Contains(result.Text, want) {
			t.Errorf("%s: %s", option, result.Text)
		}
	}
}
