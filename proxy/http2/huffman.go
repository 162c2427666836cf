package http2

import (
	"strings"

	"golang.org/x/net/http2/hpack"
)

// The Huffman code of HPACK (RFC 7541 appendix B), read four bits at a time: its
// shortest code has five, so each step completes one symbol at the most.

// step is what four bits lead to.
type step struct {
	next   uint8 // the node after them
	symbol uint8
	flags  uint8
}

const (
	stepSymbol = 1 << iota // symbol is complete
	stepEnd                // the string may end here: padding of less than eight ones
	stepFail               // EOS, which must not stand in a string
)

// node is an inner node of the code's tree, by the next bit: another one, or, where it
// is negative, the symbol -1-n. Zero is none: the root is no node's child.
type node [2]int16

// eos is the symbol that no string contains.
const eos = 256

var huffman = huffmanSteps()

// huffmanTree builds the tree from the encoder's codes: eight times the same symbol
// have as many bytes as its code has bits, and begin with it.
func huffmanTree() []node {
	tree := make([]node, 1, 256)
	insert := func(symbol int, code []byte, size int) {
		at := 0
		for i := range size {
			bit := code[i/8] >> (7 - i%8) & 1
			switch {
			case i == size-1:
				tree[at][bit] = int16(-1 - symbol)
			case tree[at][bit] == 0:
				tree = append(tree, node{})
				tree[at][bit] = int16(len(tree) - 1)
				fallthrough
			default:
				at = int(tree[at][bit])
			}
		}
	}
	for symbol := range eos {
		code := hpack.AppendHuffmanString(nil, strings.Repeat(string([]byte{byte(symbol)}), 8))
		insert(symbol, code, len(code))
	}
	insert(eos, []byte{0xff, 0xff, 0xff, 0xff}, 30)
	return tree
}

// huffmanSteps computes what each four bits lead to from each node.
func huffmanSteps() (steps [256][16]step) {
	tree := huffmanTree()
	ends := make([]bool, len(tree)) // where up to seven ones lead
	for at, i := 0, 0; i < 8; i++ {
		ends[at] = true
		at = int(tree[at][1])
	}
	for from := range tree {
		for bits := range 16 {
			s := step{}
			at := from
			for i := 3; i >= 0 && s.flags&stepFail == 0; i-- {
				next := int(tree[at][bits>>i&1])
				switch {
				case next >= 0:
					at = next
				case next == -1-eos:
					s.flags = stepFail
				default:
					s.flags |= stepSymbol
					s.symbol = uint8(-1 - next)
					at = 0
				}
			}
			s.next = uint8(at)
			if ends[at] && s.flags&stepFail == 0 {
				s.flags |= stepEnd
			}
			steps[from][bits] = s
		}
	}
	return steps
}

// appendHuffman appends the string that p encodes; ok is false if p encodes none.
func appendHuffman(dst, p []byte) (out []byte, ok bool) {
	at, flags := uint8(0), uint8(stepEnd)
	for _, b := range p {
		s := &huffman[at][b>>4]
		if s.flags&stepSymbol != 0 {
			dst = append(dst, s.symbol)
		}
		flags = s.flags & stepFail
		s = &huffman[s.next][b&15]
		if s.flags&stepSymbol != 0 {
			dst = append(dst, s.symbol)
		}
		if flags |= s.flags; flags&stepFail != 0 {
			return dst, false
		}
		at = s.next
	}
	return dst, flags&stepEnd != 0
}
