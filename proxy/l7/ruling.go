package l7

import (
	cryptorand "crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"mcplb/proxy/http1"
)

// ruling is what has been found out about a request because its route needs it after
// its head is gone. Requests on frontends without such routes have none.
type ruling struct {
	id     []byte // {request_id}; empty = not used on this frontend
	fields []byte // of the response, as its route sets and adds them
}

// rulings are free ones of a loop.
type rulings []*ruling

// mostRulings is how many free ones are kept, and mostKept how many bytes of each.
const (
	mostRulings = 256
	mostKept    = 4 << 10
)

func (rs *rulings) get() *ruling {
	last := len(*rs) - 1
	if last < 0 {
		return new(ruling)
	}
	r := (*rs)[last]
	*rs = (*rs)[:last]
	return r
}

func (rs *rulings) put(r *ruling) {
	if r == nil || len(*rs) == mostRulings || cap(r.fields) > mostKept {
		return
	}
	r.id, r.fields = r.id[:0], r.fields[:0]
	*rs = append(*rs, r)
}

// longestID is the longest X-Request-ID that is believed, in bytes.
const longestID = 128

// identify gives the request that is parsed its id: that of X-Request-ID, from a
// trusted proxy, otherwise one that cannot be guessed.
func (x router) identify(settings *Settings) {
	r, w := x.ruling, x.client.worker
	r.id = r.id[:0]
	if settings.Trusts(x.client.From.Addr()) {
		r.id = appendSentID(r.id, &w.request)
	}
	if len(r.id) == 0 {
		r.id = w.ids.append(r.id)
	}
	x.log.Identified(r.id)
}

// appendSentID appends the id in X-Request-ID; nothing if that is not there, twice,
// too long, or has characters that no id has.
func appendSentID(dst []byte, head *http1.RequestHead) []byte {
	first := fieldCalled(head, "X-Request-ID")
	if first < 0 {
		return dst
	}
	for i := head.Find(http1.HeaderOther, first+1); i >= 0; i = head.Find(http1.HeaderOther, i+1) {
		if http1.EqualFold(head.Name(i), "X-Request-ID") {
			return dst
		}
	}
	if id := head.Value(first); isID(id) {
		return append(dst, id...)
	}
	return dst
}

// isID reports whether id may be one: letters, digits, and what UUIDs, ULIDs and
// base64 have beside them.
func isID(id []byte) bool {
	for _, c := range id {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-', c == '_', c == '.', c == '~', c == ':', c == '/', c == '+', c == '=', c == '@':
		default:
			return false
		}
	}
	return len(id) > 0 && len(id) <= longestID
}

// ids makes ids of requests: 128 bits of ChaCha8, which cannot be guessed, in hex. It
// belongs to one loop.
type ids struct{ random *rand.ChaCha8 }

// randomSeed is a seed from the system. Reading it does not fail.
func randomSeed() (seed [32]byte) {
	_, _ = cryptorand.Read(seed[:])
	return seed
}

// append appends an id.
func (s *ids) append(dst []byte) []byte {
	if s.random == nil {
		s.random = rand.NewChaCha8(randomSeed())
	}
	var id [16]byte
	binary.LittleEndian.PutUint64(id[:], s.random.Uint64())
	binary.LittleEndian.PutUint64(id[8:], s.random.Uint64())
	return hex.AppendEncode(dst, id[:])
}
