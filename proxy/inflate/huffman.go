package inflate

const (
	maxCodeLength = 15

	numLiterals  = 288 // bytes, the end of a block, lengths; two of them are not used
	numDistances = 32  // likewise
	numLengths   = 19
	endOfBlock   = 256
)

// huffman is a canonical Huffman code (RFC 1951, section 3.2.2).
type huffman struct {
	count   [maxCodeLength + 1]uint16 // of codes of a length
	symbols [numLiterals]uint16       // by code
}

// build makes the code from the lengths of its symbols' codes; 0 is a symbol without
// one. It reports false if there are more codes than their lengths allow for, or
// fewer: only a code for one symbol, or none, may be incomplete, as zlib has it.
func (h *huffman) build(sizes []uint8) bool {
	*h = huffman{}
	for _, size := range sizes {
		h.count[size]++
	}
	used := len(sizes) - int(h.count[0])
	h.count[0] = 0
	var next [maxCodeLength + 2]uint16 // where symbols with codes of a length go
	left := 1                          // codes of this length that are not used yet
	for size := 1; size <= maxCodeLength; size++ {
		if left = left<<1 - int(h.count[size]); left < 0 {
			return false
		}
		next[size+1] = next[size] + h.count[size]
	}
	for symbol, size := range sizes {
		if size > 0 {
			h.symbols[next[size]] = uint16(symbol)
			next[size]++
		}
	}
	return left == 0 || used == 0 || used == 1 && h.count[1] == 1
}

// read returns the symbol whose code the lowest of bits are, of which there are n, and
// how many of them it takes: 0 if it needs more. It reports false if no symbol has
// that code.
func (h *huffman) read(bits uint64, n uint) (symbol int, used uint, ok bool) {
	code, first, index := 0, 0, 0
	for size := uint(1); size <= maxCodeLength; size++ {
		if size > n {
			return 0, 0, true
		}
		code |= int(bits & 1)
		bits >>= 1
		count := int(h.count[size])
		if code-first < count {
			return int(h.symbols[index+code-first]), size, true
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return 0, 0, false
}
