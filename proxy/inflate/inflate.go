package inflate

import (
	"errors"
	"hash/adler32"
	"hash/crc32"
)

// Format is how a deflate stream is wrapped.
type Format uint8

// The formats, as Content-Encoding names them (RFC 9110, section 8.4.1).
const (
	// Gzip is RFC 1952: one member or several.
	Gzip Format = iota
	// Deflate is RFC 1950, or the bare stream of RFC 1951, which some servers send
	// under that name, too.
	Deflate
)

// ErrCorrupt says that a stream breaks its format, or its checksum.
var ErrCorrupt = errors.New("the compressed data are corrupt")

// MostRatio is how many bytes one byte of input may decode to, at most: a match of 258
// bytes takes two bits.
const MostRatio = 1032

// stage is what a Decoder reads next.
//
//	stage          reads                              then
//	gzipHead       10 bytes                           extraLength
//	extraLength    2 bytes, with FEXTRA               extra
//	extra          as many bytes                      name
//	name, comment  up to a zero, with FNAME, FCOMMENT comment, headSum
//	headSum        2 bytes, with FHCRC                blockHead
//	zlibHead       2 bytes, unless they are no head   blockHead
//	blockHead      3 bits                             storedLength, codeCounts or symbols
//	storedLength   32 bits, from the next byte        stored
//	stored         as many bytes                      blockHead or trailer
//	codeCounts     14 bits                            codeLengths
//	codeLengths    3 bits each                        lengths
//	lengths        codes, for two more codes          symbols
//	symbols        codes, up to the end of the block  blockHead or trailer
//	trailer        the checksum, from the next byte   gzipHead (another member) or over
//	over           the rest, which has no meaning     over
type stage uint8

const (
	gzipHead stage = iota
	extraLength
	extra
	name
	comment
	headSum
	zlibHead
	blockHead
	storedLength
	stored
	codeCounts
	codeLengths
	lengths
	symbols
	trailer
	over
)

// Flags of a gzip member (RFC 1952, section 2.3.1).
const (
	flagHeadSum = 1 << 1
	flagExtra   = 1 << 2
	flagName    = 1 << 3
	flagComment = 1 << 4
	flagsUnused = 0xe0
)

const (
	windowSize = 32 << 10 // how far back a match may reach
	windowMask = windowSize - 1
)

// Decoder decodes one body. Make one by New; it takes some 35 KiB. It is used by one
// goroutine at a time.
type Decoder struct {
	position
	window  [windowSize]byte // the last bytes decoded; the next one goes to made & windowMask
	literal huffman          // of the present block
	match   huffman          // likewise, for distances
	summed  int              // within Append: up to where the output is in sum
	corrupt bool
}

// position is where a Decoder is in its stream.
type position struct {
	Format  Format
	Stage   stage
	Bits    uint64 // read, and not used yet: the next one is the lowest
	NumBits uint
	Made    uint64 // bytes decoded, of this member
	Sum     uint32 // their checksum, up to the last call of Append
	Flags   uint8  // of the gzip member
	Bare    bool   // without the head and the trailer of zlib
	Again   bool   // a gzip member is complete
	Final   bool   // the present block is the last
	Count   int    // of what the stage reads, so far
	Left    int    // bytes to come: extra, stored
	Block   codeSizes
}

// New returns a Decoder for a body in format f.
func New(f Format) *Decoder {
	d := &Decoder{}
	d.Format = f
	d.Stage = d.first()
	return d
}

// first is the stage in which a stream begins.
func (d *Decoder) first() stage {
	if d.Format == Gzip {
		return gzipHead
	}
	d.Sum = 1 // of no bytes (RFC 1950, section 9)
	return zlibHead
}

// Append decodes p, the next piece of the body, and appends to dst what it allows to
// decode: up to MostRatio times its length. What follows the end of the compressed
// data is ignored, as browsers do. After ErrCorrupt, which comes with the bytes before
// the fault, there is no more.
func (d *Decoder) Append(dst, p []byte) ([]byte, error) {
	d.summed = len(dst)
	for more := true; more && !d.corrupt; {
		for d.NumBits <= 56 && len(p) > 0 {
			d.Bits |= uint64(p[0]) << d.NumBits
			d.NumBits += 8
			p = p[1:]
		}
		dst, more = d.step(dst)
	}
	d.sum(dst)
	if d.corrupt {
		return dst, ErrCorrupt
	}
	return dst, nil
}

// sum adds what was appended to dst to the checksum.
func (d *Decoder) sum(dst []byte) {
	if d.Format == Gzip {
		d.Sum = crc32.Update(d.Sum, crc32.IEEETable, dst[d.summed:])
	} else {
		d.Sum = updateAdler(d.Sum, dst[d.summed:])
	}
	d.summed = len(dst)
}

// updateAdler is adler32.Checksum for a stream: hash/adler32 continues one only from
// its marshalled state.
func updateAdler(sum uint32, p []byte) uint32 {
	h := adler32.New()
	state := []byte{'a', 'd', 'l', 1, byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
	_ = h.(interface{ UnmarshalBinary([]byte) error }).UnmarshalBinary(state) // the form that it writes
	_, _ = h.Write(p)                                                         // never fails
	return h.Sum32()
}

// step takes one step: it reads the next bits, if there are enough of them for the
// stage, and reports whether they were, or the stage needed none.
func (d *Decoder) step(dst []byte) ([]byte, bool) {
	switch d.Stage {
	case gzipHead, extraLength, extra, name, comment, headSum:
		return dst, d.stepGzipHead()
	case zlibHead:
		return dst, d.stepZlibHead()
	case trailer:
		return dst, d.stepTrailer(dst)
	case over:
		more := d.NumBits > 0
		d.use(d.NumBits)
		return dst, more
	}
	return d.stepBlock(dst)
}

// take uses n bits, if there are as many.
func (d *Decoder) take(n uint) (value uint32, ok bool) {
	if d.NumBits < n {
		return 0, false
	}
	value = uint32(d.Bits & (1<<n - 1))
	d.use(n)
	return value, true
}

func (d *Decoder) use(n uint) {
	d.Bits >>= n
	d.NumBits -= n
}

// align throws away the bits up to the next byte.
func (d *Decoder) align() { d.use(d.NumBits % 8) }

// enter begins a stage.
func (d *Decoder) enter(s stage) { d.Stage, d.Count = s, 0 }

// fail notes that the stream is corrupt, and that there is no more of it.
func (d *Decoder) fail() bool {
	d.corrupt = true
	return false
}

func (d *Decoder) stepGzipHead() bool {
	absent := d.Stage == extraLength && d.Flags&flagExtra == 0 || d.Stage == extra && d.Left == 0 ||
		d.Stage == name && d.Flags&flagName == 0 || d.Stage == comment && d.Flags&flagComment == 0 ||
		d.Stage == headSum && d.Flags&flagHeadSum == 0
	if absent {
		d.enter(d.afterHead())
		return true
	}
	b, ok := d.take(8)
	if !ok {
		return false
	}
	d.Count++
	switch d.Stage {
	case gzipHead:
		return d.readMember(uint8(b))
	case extraLength:
		d.Left |= int(b) << (8 * (d.Count - 1))
	case extra:
		d.Left--
	}
	ended := d.Stage == extraLength && d.Count == 2 || (d.Stage == name || d.Stage == comment) && b == 0 ||
		d.Stage == headSum && d.Count == 2
	if ended {
		d.enter(d.afterHead())
	}
	return true
}

// afterHead is the stage behind the present one of a gzip member's head.
func (d *Decoder) afterHead() stage {
	if d.Stage == headSum {
		return blockHead
	}
	return d.Stage + 1
}

// readMember reads b, the next one of the ten bytes that a member begins with. Behind a
// complete member, what does not begin another has no meaning.
func (d *Decoder) readMember(b uint8) bool {
	wrong := d.Count == 1 && b != 0x1f || d.Count == 2 && b != 0x8b || d.Count == 3 && b != 8 ||
		d.Count == 4 && b&flagsUnused != 0
	switch {
	case wrong && d.Again:
		d.enter(over)
	case wrong:
		return d.fail()
	case d.Count == 4:
		d.Flags = b
	case d.Count == 10:
		d.Left = 0
		d.enter(extraLength)
	}
	return true
}

func (d *Decoder) stepZlibHead() bool {
	if d.NumBits < 16 {
		return false
	}
	method, flags := uint16(d.Bits&0xff), uint16(d.Bits>>8&0xff)
	const dictionary = 1 << 5
	if d.Bare = method&0xf != 8 || method>>4 > 7 || (method<<8|flags)%31 != 0 || flags&dictionary != 0; !d.Bare {
		d.use(16)
	}
	d.enter(blockHead)
	return true
}

// stepTrailer compares the checksum and, in gzip, the length. dst ends with the last
// bytes of the data.
func (d *Decoder) stepTrailer(dst []byte) bool {
	if d.Format == Deflate {
		return d.stepZlibTrailer(dst)
	}
	if d.NumBits < 64 {
		return false
	}
	d.sum(dst)
	if uint32(d.Bits) != d.Sum || uint32(d.Bits>>32) != uint32(d.Made) {
		return d.fail()
	}
	d.use(64)
	d.Sum, d.Made, d.Again = 0, 0, true
	d.enter(gzipHead)
	return true
}

func (d *Decoder) stepZlibTrailer(dst []byte) bool {
	if d.Bare {
		d.enter(over)
		return true
	}
	big, ok := d.take(32)
	if !ok {
		return false
	}
	d.sum(dst)
	if d.Sum != big<<24|big>>24|big<<8&0xff0000|big>>8&0xff00 {
		return d.fail()
	}
	d.enter(over)
	return true
}
