package websocket

import (
	"math/rand/v2"
	"testing"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// oneByOne splits data into pieces of one byte.
func oneByOne(data []byte) [][]byte {
	var pieces [][]byte
	for i := range data {
		pieces = append(pieces, data[i:i+1])
	}
	return pieces
}

// chunks splits data at random places, with empty chunks; the same seed splits
// at the same places.
func chunks(data []byte, seed uint64) [][]byte {
	random := rand.New(rand.NewPCG(seed, 0))
	var pieces [][]byte
	for len(data) > 0 {
		n := random.IntN(min(len(data), 1+random.IntN(40)) + 1)
		pieces = append(pieces, data[:n])
		data = data[n:]
	}
	return pieces
}
