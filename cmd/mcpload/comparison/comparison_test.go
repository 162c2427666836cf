package comparison

import (
	"strings"
	"testing"

	"mcplb/cmd/mcpload/report"
	"mcplb/conf"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// Every configuration has the addresses that it is given.
func TestConfigurations(t *testing.T) {
	t.Parallel()
	s := newSetup(t.TempDir())
	for name, config := range map[string]func(*setup) string{"mcplb": mcplbConfig, "HAProxy": haproxyConfig, "nginx": nginxConfig} {
		text := config(s)
		for _, address := range []string{s.lines, s.http, s.origins[0].lines, s.origins[1].http} {
			if !strings.Contains(text, address) {
				t.Errorf("%s lacks %s:\n%s", name, address, text)
			}
		}
	}
	if _, err := conf.Parse("mcplb.conf", []byte(mcplbConfig(s))); err != nil {
		t.Error(err)
	}
}

func TestInstructions(t *testing.T) {
	t.Parallel()
	table := &report.Table{}
	output := "relay  (instructions per message)\n  mcplb     28,968  of 1,000 messages\n  other     1  of\npost  (instructions per message)\n  haproxy   40,000  of 5\n"
	if err := parseInstructions(table, output); err != nil {
		t.Fatal(err)
	}
	relay, _ := table.Value("mcplb", "relay instructions/message")
	post, _ := table.Value("HAProxy", "post instructions/message")
	if relay != 28_968 || post != 40_000 || len(table.Cases()) != 2 {
		t.Errorf("%+v", table)
	}
}
