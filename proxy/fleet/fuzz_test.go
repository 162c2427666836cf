package fleet

import (
	"reflect"
	"testing"
	"time"

	"mcplb/ratelimit"
)

// Whatever stands in Redis instead of usage is refused, and usage survives.
func FuzzUsage(f *testing.F) {
	f.Add(encodeUsage(&ratelimit.Usage{Messages: 7, Connections: 1, Sources: []ratelimit.SourceUsage{{Key: 1<<32 | 5, Messages: 300, Connections: 2}}}))
	f.Add([]byte{usageVersion, 0, 0, 1, 2, 3})
	f.Add([]byte{usageVersion, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0})
	f.Add([]byte{2, 0, 0})
	f.Fuzz(func(t *testing.T, text []byte) {
		u, ok := decodeUsage(text)
		if !ok || u.Messages+u.Connections == 0 && len(u.Sources) == 0 {
			return
		}
		again, ok := decodeUsage(encodeUsage(&u))
		if !ok || !reflect.DeepEqual(u, again) {
			t.Errorf("%+v becomes %+v", u, again)
		}
	})
}

// Whatever stands in Redis instead of a ban or a place is refused, and what is accepted
// means the same when it is written again.
func FuzzEntry(f *testing.F) {
	f.Add("192.0.2.1/32", "ban manual 0 until")
	f.Add("2001:db8::/64", "ban message_rate 100 endless")
	f.Add("10.0.0.0/8", "lifted")
	f.Add("10.0.0.1/8", "ban manual -1 until")
	f.Add("nodes 192.0.2.1/32", "node1")
	f.Add("nodes  ", " ")
	f.Fuzz(func(t *testing.T, key, payload string) {
		if b, lift, ok := parseBan(key, payload, time.Minute); ok && !lift {
			e := banEntry(b, 1)
			if again, _, ok := parseBan(e.key, e.payload, e.lives); !ok || again != b {
				t.Errorf("%+v becomes %+v", b, again)
			}
		}
		if p, ok := parsePlace(key, payload, time.Minute); ok {
			e := placeEntry(p, 1)
			if again, ok := parsePlace(e.key, e.payload, e.lives); !ok || again != p {
				t.Errorf("%+v becomes %+v", p, again)
			}
		}
	})
}
