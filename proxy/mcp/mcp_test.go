package mcp

import (
	"math/rand/v2"
	"testing"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// chunks splits data at random places, with empty chunks; the same seed splits
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

// oneByOne splits data into single bytes.
func oneByOne(data []byte) [][]byte {
	var cut [][]byte
	for i := range data {
		cut = append(cut, data[i:i+1])
	}
	return cut
}

// streams are the basic inputs of the tests of framing.
var streams = []string{
	"",
	"\n",
	"\r\n",
	"\r",
	"\n\n\r\n\r\r\n",
	"{}\n",
	"{}\r\n",
	"{}",
	"\r{}\n",
	"{}\n\n{}\r\n\r\n{}\n",
	`{"jsonrpc":"2.0","id":1,"method":"ping"}` + "\n" + `{"jsonrpc":"2.0","id":"a\"b","method":"tools/call","params":{"id":7}}` + "\n",
	`{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n" + `{"jsonrpc":"2.0","id":5,"result":{}}` + "\n",
	"\x00\xff garbage \x80\n[1,2]\n\"id\"\n",
	`{"id":1,"method":"x"` + "\n" + `}` + "\n",
}
