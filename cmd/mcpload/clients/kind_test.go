package clients

import (
	"math"
	"strings"
	"testing"
)

func TestParseMix(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"tcp":                         "tcp=1",
		"tcp=70,http=10,ws=10,sse=10": "tcp=70,http=10,ws=10,sse=10",
		" sse=1, tls=2 ":              "sse=1,tls=2",
		"":                            "is no kind",
		"udp":                         "is no kind",
		"tcp=x":                       "integer from",
		"tcp=-1":                      "integer from",
		"tcp=0":                       "has no clients",
	} {
		m, err := ParseMix(text)
		got := m.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// Every prefix of a pattern has the mix's proportions.
func TestPattern(t *testing.T) {
	t.Parallel()
	m := Mix{TCP: 70, HTTP: 10, WS: 10, SSE: 10}
	var got Mix
	for i, k := range m.Pattern() {
		got[k]++
		for k, share := range m {
			if off := math.Abs(float64(got[k]) - float64(share*(i+1))/100); off > 1.5 {
				t.Errorf("after %d: %v", i+1, got)
			}
		}
	}
	if got != m {
		t.Errorf("in all: %v", got)
	}
}
