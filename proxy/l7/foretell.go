package l7

import (
	"mcplb/conf"
	"mcplb/proxy/http1"
)

// Foretell returns the response that a frontend generates for the head of a request
// whatever its route says: one that refuses its Origin, or answers its preflight. The
// status is 0 if there is none.
func Foretell(f *conf.Frontend, head *http1.RequestHead) (status int, why string) {
	cors := newCORS(f)
	switch {
	case !originAllowed(f.AllowedOrigins, head):
		return responses[OriginRefused].status, "Origin is not among allowed_origins"
	case cors.answers(head, new(origins).of(head)):
		return responses[Preflight].status, "cors.preflight answers it"
	}
	return 0, ""
}
