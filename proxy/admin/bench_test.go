package admin

import (
	"net/http/httptest"
	"testing"
)

// The cost of each page with 200 servers: go test -bench . ./proxy/admin
func BenchmarkPages(b *testing.B) {
	source := many(200)
	history := NewHistory(source)
	for range historySamples {
		history.sample()
	}
	handler := NewAdminHandler(Options{Source: source, Control: &recorder{}, Access: &Access{}, History: history})
	for _, path := range []string{"/metrics", "/api/v1/status", "/stats;csv", "/stats", "/stats?plots=no"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
				b.SetBytes(int64(w.Body.Len()))
			}
		})
	}
	b.Run("sample", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			history.sample()
		}
	})
}
