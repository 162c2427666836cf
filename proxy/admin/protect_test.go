package admin

import (
	"net/http"
	"strings"
	"testing"
)

// TestProtect checks that with admin.protect nothing is shown without the token but health.
// If it fails, anybody who reaches the address sees the addresses of clients.
func TestProtect(t *testing.T) {
	t.Parallel()
	d := newDesk(edited(unedited))
	if _, err := d.access.UseFile(writeToken(t, "secret-of-sixteen\n", 0o600)); err != nil {
		t.Fatal(err)
	}
	paths := []string{"/", "/stats", "/stats;csv", "/;csv", "/metrics", "/nginx_status", "/api/v1/status", "/api/v1/bans", "/api/v1/openapi.json", "/health", "/nowhere"}
	for _, protect := range []bool{false, true, false} {
		d.access.Protect(protect)
		for _, path := range paths {
			plain := d.ask("GET", path, "")
			shown := d.ask("GET", path, "", "Authorization", "Bearer secret-of-sixteen")
			asked := plain.StatusCode == http.StatusUnauthorized && strings.HasPrefix(plain.Header.Get("WWW-Authenticate"), "Basic ")
			if want := protect && path != "/health"; asked != want && path != "/api/v1/bans" || protect && path == "/api/v1/bans" && !asked {
				t.Errorf("protect = %v: %s answers %d without the token", protect, path, plain.StatusCode)
			}
			if shown.StatusCode == http.StatusUnauthorized {
				t.Errorf("protect = %v: %s is refused with the token", protect, path)
			}
		}
	}
	d.access.Protect(true)
	if response := d.ask("POST", "/api/v1/counters/clear", "{}"); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a command without the token: %d", response.StatusCode)
	}
}
