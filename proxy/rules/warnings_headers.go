package rules

import (
	"slices"

	"mcplb/conf"
	"mcplb/proxy/http1"
)

// excludesHeaders reports whether one of not_headers holds for all requests for which a
// condition of headers does.
func excludesHeaders(not, headers []conf.HeaderMatch) bool {
	return slices.ContainsFunc(headers, func(h conf.HeaderMatch) bool {
		return slices.ContainsFunc(not, func(o conf.HeaderMatch) bool { return headersCover([]conf.HeaderMatch{o}, []conf.HeaderMatch{h}) })
	})
}

// unseenHeaders warns of conditions on fields such as X-Forwarded-Proto where there is no
// proxy from which they count: the redirect to https of a file that was written for another
// balancer becomes an endless one.
func (v *review) unseenHeaders(i int) {
	if len(v.frontend.TrustedProxies) > 0 {
		return
	}
	r := &v.frontend.Routes[i]
	for _, c := range []struct {
		key, result string
		headers     []conf.HeaderMatch
	}{{"headers", "never holds", r.Headers}, {"not_headers", "always holds", r.Not.Headers}} {
		for _, h := range c.headers {
			if http1.Forwarding.Has(http1.HeaderOf([]byte(h.Name))) {
				v.warn(i, "%s.%s %s: it counts only from trusted_proxies, and there are none", c.key, h.Name, c.result)
			}
		}
	}
}
