package http2

// Field is a decoded field. Its slices are valid until the next is decoded.
type Field struct{ Name, Value []byte }

// Decoder decodes the header blocks of one connection (RFC 7541). The zero value is
// ready for the first block: its table has the default size of 4 KB, and holds memory
// for what is in it only.
type Decoder struct {
	table   table
	resized bool  // the table's size is no longer the default
	updates uint8 // of the table's size in this block; noUpdates: a field has come
}

const noUpdates = 255

// Begin begins a block.
func (d *Decoder) Begin() {
	d.updates = 0
	if !d.resized {
		d.table.max, d.resized = tableLimit, true
	}
}

// Next decodes what stands at the beginning of p, the rest of a complete block that is
// not empty, and returns its length: a field, or a change of the table's size, for which
// found is false. A length of 0 says that the block is malformed: the connection cannot go
// on (COMPRESSION_ERROR).
func (d *Decoder) Next(p []byte, s *Shared) (f Field, found bool, n int) {
	switch b := p[0]; {
	case b&0x80 != 0:
		d.updates = noUpdates
		index, n := readInt(p, 7)
		if n == 0 || !d.lookUp(index, &f) {
			return f, false, 0
		}
		return f, true, n
	case b&0xc0 == 0x40:
		return d.literal(p, 6, true, s)
	case b&0xe0 == 0x20:
		return f, false, d.update(p)
	}
	return d.literal(p, 4, false, s) // with or without "never indexed": nothing is kept
}

// update changes the table's size: at the beginning of a block, twice at the most (RFC
// 7541 section 4.2).
func (d *Decoder) update(p []byte) int {
	size, n := readInt(p, 5)
	if n == 0 || size > tableLimit || d.updates >= 2 {
		return 0
	}
	d.updates++
	d.table.resize(size)
	return n
}

// lookUp finds the entry with an index of both tables.
func (d *Decoder) lookUp(index int, f *Field) bool {
	switch {
	case index == 0 || index > staticEntries+len(d.table.entries):
		return false
	case index <= staticEntries:
		*f = staticFields[index]
	default:
		f.Name, f.Value = d.table.at(index - staticEntries - 1)
	}
	return true
}

// literal decodes a field of which at least the value is a string.
func (d *Decoder) literal(p []byte, prefix uint8, add bool, s *Shared) (f Field, found bool, n int) {
	d.updates = noUpdates
	index, n := readInt(p, prefix)
	if n == 0 {
		return f, false, 0
	}
	if index > 0 {
		if !d.lookUp(index, &f) {
			return f, false, 0
		}
		if add && index > staticEntries { // adding may drop or move the entry
			s.name = append(s.name[:0], f.Name...)
			f.Name = s.name
		}
	} else {
		var size int
		if f.Name, size = readString(p[n:], &s.name); size == 0 {
			return f, false, 0
		}
		n += size
	}
	value, size := readString(p[n:], &s.value)
	if size == 0 {
		return f, false, 0
	}
	f.Value = value
	if add {
		d.table.add(f.Name, value)
	}
	return f, true, n + size
}

// readString reads a string at the beginning of p: a part of p, or of scratch. A size of
// 0 says that it is malformed.
func readString(p []byte, scratch *[]byte) (value []byte, size int) {
	if len(p) == 0 {
		return nil, 0
	}
	length, n := readInt(p, 7)
	if n == 0 || length > len(p)-n {
		return nil, 0
	}
	value = p[n : n+length]
	if p[0]&0x80 != 0 {
		out, ok := appendHuffman((*scratch)[:0], value)
		*scratch = out
		if !ok {
			return nil, 0
		}
		value = out
	}
	return value, n + length
}

// readInt reads an integer with a prefix of that many bits at the beginning of p (RFC 7541
// section 5.1), and returns its size: 0 if p ends before it does, or it has more than 28
// bits behind the prefix.
func readInt(p []byte, prefix uint8) (value, size int) {
	mask := 1<<prefix - 1
	value = int(p[0]) & mask
	if value < mask {
		return value, 1
	}
	for i, b := range p[1:min(len(p), 5)] {
		value += int(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			return value, i + 2
		}
	}
	return 0, 0
}
