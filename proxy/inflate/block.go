package inflate

// codeSizes are the lengths of the codes of a block whose codes it brings itself.
type codeSizes struct {
	Literals  int                               // how many codes there are for literals and lengths,
	Distances int                               // for distances,
	Codes     int                               // and for the lengths of those
	Sizes     [numLiterals + numDistances]uint8 // first the ones, then the others
	Coding    [numLengths]uint8
}

// codeOrder is the order in which the lengths of the codes for lengths come (RFC 1951,
// section 3.2.7).
var codeOrder = [numLengths]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// extended is what a symbol for a length or a distance stands for: a number, to which
// the value of more bits is added (RFC 1951, section 3.2.5).
type extended struct {
	base uint16
	bits uint8
}

var lengthsOf = [...]extended{
	{3, 0}, {4, 0}, {5, 0}, {6, 0}, {7, 0}, {8, 0}, {9, 0}, {10, 0}, {11, 1}, {13, 1}, {15, 1}, {17, 1}, {19, 2}, {23, 2}, {27, 2},
	{31, 2}, {35, 3}, {43, 3}, {51, 3}, {59, 3}, {67, 4}, {83, 4}, {99, 4}, {115, 4}, {131, 5}, {163, 5}, {195, 5}, {227, 5}, {258, 0},
}

var distancesOf = [...]extended{
	{1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 1}, {7, 1}, {9, 2}, {13, 2}, {17, 3}, {25, 3}, {33, 4}, {49, 4}, {65, 5}, {97, 5}, {129, 6},
	{193, 6}, {257, 7}, {385, 7}, {513, 8}, {769, 8}, {1025, 9}, {1537, 9}, {2049, 10}, {3073, 10}, {4097, 11}, {6145, 11},
	{8193, 12}, {12289, 12}, {16385, 13}, {24577, 13},
}

// stepBlock is step within a block.
func (d *Decoder) stepBlock(dst []byte) ([]byte, bool) {
	switch d.Stage {
	case blockHead:
		return dst, d.stepBlockHead()
	case storedLength:
		return dst, d.stepStoredLength()
	case stored:
		return d.stepStored(dst)
	case codeCounts:
		return dst, d.stepCodeCounts()
	case codeLengths:
		return dst, d.stepCodeLengths()
	case lengths:
		return dst, d.stepLengths()
	}
	return d.stepSymbol(dst)
}

func (d *Decoder) stepBlockHead() bool {
	head, ok := d.take(3)
	if !ok {
		return false
	}
	d.Final = head&1 != 0
	switch head >> 1 {
	case 0:
		d.align()
		d.enter(storedLength)
	case 1:
		d.useFixedCodes()
		d.enter(symbols)
	case 2:
		d.enter(codeCounts)
	default:
		return d.fail()
	}
	return true
}

// useFixedCodes prepares the codes that need not be sent (RFC 1951, section 3.2.6).
func (d *Decoder) useFixedCodes() {
	d.Block.Literals, d.Block.Distances = numLiterals, numDistances
	for i := range d.Block.Sizes {
		switch {
		case i < 144:
			d.Block.Sizes[i] = 8
		case i < 256:
			d.Block.Sizes[i] = 9
		case i < 280:
			d.Block.Sizes[i] = 7
		case i < numLiterals:
			d.Block.Sizes[i] = 8
		default:
			d.Block.Sizes[i] = 5
		}
	}
	d.buildCodes()
}

// buildCodes makes the codes of the block from their lengths.
func (d *Decoder) buildCodes() bool {
	return d.literal.build(d.Block.Sizes[:d.Block.Literals]) && d.match.build(d.Block.Sizes[d.Block.Literals:d.Block.Literals+d.Block.Distances])
}

// endBlock continues behind a block.
func (d *Decoder) endBlock() {
	if !d.Final {
		d.enter(blockHead)
		return
	}
	d.align()
	d.enter(trailer)
}

func (d *Decoder) stepStoredLength() bool {
	both, ok := d.take(32)
	switch length := both & 0xffff; {
	case !ok:
		return false
	case length != ^both>>16:
		return d.fail()
	case length == 0:
		d.endBlock()
	default:
		d.Left = int(length)
		d.enter(stored)
	}
	return true
}

func (d *Decoder) stepStored(dst []byte) ([]byte, bool) {
	b, ok := d.take(8)
	if !ok {
		return dst, false
	}
	dst = d.emit(dst, byte(b))
	if d.Left--; d.Left == 0 {
		d.endBlock()
	}
	return dst, true
}

func (d *Decoder) stepCodeCounts() bool {
	counts, ok := d.take(14)
	if !ok {
		return false
	}
	d.Block.Literals, d.Block.Distances, d.Block.Codes = int(counts&31)+257, int(counts>>5&31)+1, int(counts>>10)+4
	if d.Block.Literals > numLiterals-2 || d.Block.Distances > numDistances-2 {
		return d.fail()
	}
	d.Block.Sizes, d.Block.Coding = [len(d.Block.Sizes)]uint8{}, [numLengths]uint8{}
	d.enter(codeLengths)
	return true
}

func (d *Decoder) stepCodeLengths() bool {
	size, ok := d.take(3)
	if !ok {
		return false
	}
	d.Block.Coding[codeOrder[d.Count]] = uint8(size)
	if d.Count++; d.Count < d.Block.Codes {
		return true
	}
	if !d.literal.build(d.Block.Coding[:]) { // for now
		return d.fail()
	}
	d.enter(lengths)
	return true
}

// stepLengths reads the next lengths of codes, one, or several that are the same.
func (d *Decoder) stepLengths() bool {
	symbol, used, ok := d.literal.read(d.Bits, d.NumBits)
	if !ok {
		return d.fail()
	}
	if used == 0 {
		return false
	}
	size, times, more := uint8(symbol), 1, uint(0)
	switch symbol {
	case 16:
		size, times, more = 0, 3, 2
		if d.Count > 0 {
			size = d.Block.Sizes[d.Count-1]
		}
	case 17:
		size, times, more = 0, 3, 3
	case 18:
		size, times, more = 0, 11, 7
	}
	if d.NumBits < used+more {
		return false
	}
	times += int(d.Bits >> used & (1<<more - 1))
	if symbol == 16 && d.Count == 0 || d.Count+times > d.Block.Literals+d.Block.Distances {
		return d.fail()
	}
	d.use(used + more)
	for range times {
		d.Block.Sizes[d.Count] = size
		d.Count++
	}
	if d.Count < d.Block.Literals+d.Block.Distances {
		return true
	}
	if d.Block.Sizes[endOfBlock] == 0 || !d.buildCodes() {
		return d.fail()
	}
	d.enter(symbols)
	return true
}

// stepSymbol reads a literal, a match or the end of the block. It needs 48 bits at
// most.
func (d *Decoder) stepSymbol(dst []byte) ([]byte, bool) {
	symbol, used, ok := d.literal.read(d.Bits, d.NumBits)
	switch {
	case !ok:
		return dst, d.fail()
	case used == 0:
		return dst, false
	case symbol < endOfBlock:
		d.use(used)
		return d.emit(dst, byte(symbol)), true
	case symbol == endOfBlock:
		d.use(used)
		d.endBlock()
		return dst, true
	case symbol-endOfBlock > len(lengthsOf):
		return dst, d.fail()
	}
	length, used, ok := d.extend(lengthsOf[symbol-endOfBlock-1], used)
	if !ok {
		return dst, false
	}
	symbol, more, ok := d.match.read(d.Bits>>used, d.NumBits-used)
	switch {
	case !ok || symbol >= len(distancesOf):
		return dst, d.fail()
	case more == 0:
		return dst, false
	}
	distance, used, ok := d.extend(distancesOf[symbol], used+more)
	switch {
	case !ok:
		return dst, false
	case uint64(distance) > d.Made:
		return dst, d.fail()
	}
	d.use(used)
	return d.repeat(dst, length, distance), true
}

// extend returns the number that e stands for with the bits that follow the first
// used ones, and how many are used with them. It reports false if they have not come.
func (d *Decoder) extend(e extended, used uint) (value int, all uint, ok bool) {
	all = used + uint(e.bits)
	return int(e.base) + int(d.Bits>>used&(1<<e.bits-1)), all, d.NumBits >= all
}

// emit appends a byte that is decoded.
func (d *Decoder) emit(dst []byte, b byte) []byte {
	d.window[d.Made&windowMask] = b
	d.Made++
	return append(dst, b)
}

// repeat appends length bytes again, from distance bytes back; they may be among them.
func (d *Decoder) repeat(dst []byte, length, distance int) []byte {
	for range length {
		dst = d.emit(dst, d.window[(d.Made-uint64(distance))&windowMask])
	}
	return dst
}
