package conf

import (
	"errors"
	"strings"
	"testing"
)

// FuzzServers checks that a file of found servers, which a program may be writing, is
// either complete servers under different names or mistakes with their lines.
func FuzzServers(f *testing.F) {
	for _, text := range []string{
		"[[server]]\nname = \"a\"\ntcp = \"10.0.0.1:1\"\n", "servers = []\n", "", "# nothing\n", "[[server]\n", "servers = [{ name = \"b\", http = \"b.example.com:80\" }]",
		"[[server]]\nname = \"a\"\ntcp = \":1\"\nweight = -1\nmaxconn = 1_000\n", "server = 1\nservers = 2\n", "[[server]]\nname = \"a\"\nhttp = \"[::1]:8080\"\nbackup = true\n",
		"[[server]]\nname = \"a\"\ntcp = \"10.0.0.1:1\"\n[[server]]\nname = \"a\"\ntcp = \"10.0.0.2:1\"\n", "\xef\xbb\xbfservers = []", "servers = [{}]\n[[server]]\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		servers, err := ParseServers("servers.toml", []byte(text), &Discover{Weight: 7, MaxConn: 9})
		var mistakes Errors
		if err != nil && (!errors.As(err, &mistakes) || len(mistakes) == 0 || len(servers) > 0 || !strings.Contains(err.Error(), "servers.toml:")) {
			t.Fatalf("%d servers, and %v", len(servers), err)
		}
		names := map[string]bool{}
		for i := range servers {
			s := &servers[i]
			if s.Name == "" || names[s.Name] || s.TCP == "" && s.HTTP == "" || s.Weight < 0 || s.MaxConn < 0 {
				t.Errorf("incomplete: %+v", s)
			}
			names[s.Name] = true
			for _, e := range serverEndpoints {
				if address := s.Address(e); address != "" {
					if canonical, err := parseServer(address); err != nil || canonical != address {
						t.Errorf("the address %q: %v", address, err)
					}
				}
			}
		}
	})
}
