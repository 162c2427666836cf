package conf

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
)

// contradictions are the places where the contract, which shows every key, says two
// things of one route or backend: an operator who copies it has to choose.
var contradictions = []struct {
	mistake string // how it begins
	choices []string
}{
	{"frontend.http.route[1].redirect: and respond are both given", []string{`(?m)^respond  .*\n`, `(?m)^redirect  .*\n`}},
	{"backend.nodes.discover: has dns and kubernetes", []string{`(?m)^(?:dns|ports)  .*\n`, `(?m)^kubernetes  .*\n`}},
	{"frontend.tcp.route", []string{`(?s)\[\[frontend\.tcp\.route\]\].*?\n\n`}}, // SNI is for mode tcp, and the frontend above has mode mcp
}

// unbuilt are keys that the contract marks as new, and that may not be there yet.
var unbuilt = regexp.MustCompile(`(?m)^(?:http2|alpn|http2_streams|http2_buffer) .*\n`)

// Who copies the contract as it is written gets errors for its contradictions alone, and
// whatever the choice is, nothing else has to change.
func TestContractAsWritten(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/contract.toml")
	if err != nil {
		t.Fatal(err)
	}
	whole := unbuilt.ReplaceAllString(string(text), "")
	_, err = Parse("lb.toml", []byte(whole))
	var mistakes Errors
	if !errors.As(err, &mistakes) {
		t.Fatalf("accepted as it is: %v", err)
	}
	for _, m := range mistakes {
		known := false
		for _, c := range contradictions {
			known = known || strings.Contains(m.Error(), ": "+c.mistake)
		}
		if !known {
			t.Errorf("no contradiction: %v", m)
		}
	}
	try(t, whole, 0)
}

// try makes each choice of the contradictions from one on.
func try(t *testing.T, text string, from int) {
	t.Helper()
	if from == len(contradictions) {
		if _, err := Parse("lb.toml", []byte(text)); err != nil {
			t.Errorf("after a choice of each: %v", err)
		}
		return
	}
	for _, choice := range contradictions[from].choices {
		shorter := regexp.MustCompile(choice).ReplaceAllString(text, "")
		if shorter == text {
			t.Fatalf("the contract has nothing like %s", choice)
		}
		try(t, shorter, from+1)
	}
}
