package fleet

import (
	"encoding/binary"

	"mcplb/ratelimit"
)

// What a balancer let pass in one batch is written as
//
//	1, global messages, global connections, then for each source: key (8 bytes, big
//	endian), messages, connections
//
// where numbers are varints (encoding/binary).
const usageVersion = 1

const (
	mostSources  = 1000    // in one batch
	longestUsage = 1 << 15 // bytes
)

// encodeUsage returns what a balancer let pass; nil for nothing.
func encodeUsage(u *ratelimit.Usage) []byte {
	if u.Messages == 0 && u.Connections == 0 && len(u.Sources) == 0 {
		return nil
	}
	b := make([]byte, 0, 16+12*len(u.Sources))
	b = append(b, usageVersion)
	b = binary.AppendUvarint(b, u.Messages)
	b = binary.AppendUvarint(b, u.Connections)
	for _, s := range u.Sources {
		b = binary.BigEndian.AppendUint64(b, s.Key)
		b = binary.AppendUvarint(b, uint64(s.Messages))
		b = binary.AppendUvarint(b, uint64(s.Connections))
	}
	return b
}

// decodeUsage is the reverse of encodeUsage; false for anything else.
func decodeUsage(b []byte) (u ratelimit.Usage, ok bool) {
	if len(b) == 0 || b[0] != usageVersion || len(b) > longestUsage {
		return u, false
	}
	b = b[1:]
	ok = true
	number := func(most uint64) uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > most {
			ok, b = false, nil
			return 0
		}
		b = b[n:]
		return v
	}
	u.Messages, u.Connections = number(1<<32), number(1<<32)
	for ok && len(b) > 0 {
		if len(b) < 8 {
			return u, false
		}
		s := ratelimit.SourceUsage{Key: binary.BigEndian.Uint64(b)}
		b = b[8:]
		s.Messages, s.Connections = uint32(number(1<<31)), uint32(number(1<<31))
		u.Sources = append(u.Sources, s)
	}
	return u, ok && len(u.Sources) <= mostSources
}
