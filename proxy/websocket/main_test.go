package websocket

import (
	"math/rand/v2"
	"testing"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// oneByOne cuts data into pieces of one byte.
func oneByOne(data []byte) [][]byte {
	var cut [][]byte
	for i := range data {
		cut = append(cut, data[i:i+1])
	}
	return cut
}

// chunks cuts data at random places, empty chunks included; the same seed cuts
// at the same places.
func chunks(data []byte, seed uint64) [][]byte {
	random := rand.New(rand.NewPCG(seed, 0))
	var cut [][]byte
	for len(data) > 0 {
		n := random.IntN(min(len(data), 1+random.IntN(40)) + 1)
		cut = append(cut, data[:n])
		data = data[n:]
	}
	return cut
}
