package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestTLSGzip checks that the frontend knows its own TLS: gzip for programs with a
// token, none for what a browser may have asked for (BREACH).
func TestTLSGzip(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	server := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, strings.Repeat(`{"some":"json"}`, 500))
	})
	r := start(t, frontendText("f", anyPort, "http", "b", a.usual())+httpBackend(server))
	client := browser(t, r.address("f"), a.client())
	for field, want := range map[string]string{"Authorization: Bearer x": "gzip", "Cookie: a=b": "", "Sec-Fetch-Site: cross-site": ""} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		name, value, _ := strings.Cut(field, ": ")
		request.Header.Set(name, value)
		request.Header.Set("Accept-Encoding", "gzip")
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if got := answer.Header.Get("Content-Encoding"); err != nil || got != want {
			t.Errorf("%s: Content-Encoding %q, want %q, %v", field, got, want, err)
		}
	}
	client.CloseIdleConnections()
}
