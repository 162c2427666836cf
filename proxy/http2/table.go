package http2

// tableLimit is the most that a dynamic table may hold, as HPACK counts (RFC 7541
// section 4.1), both ways: SETTINGS_HEADER_TABLE_SIZE.
const tableLimit = 4096

// entryOverhead is what each entry of a table counts beside its bytes.
const entryOverhead = 32

// table is a dynamic table: entries in the order in which they were added, and their
// bytes in the same order. Both grow with what they hold, to 4 KB at the most. The
// zero value is an empty table of size 0.
type table struct {
	bytes   []byte  // those of entries, and of dropped ones before them
	entries []entry // the last is the newest
	size    int     // as HPACK counts
	max     int     // the encoder's choice, up to tableLimit
}

// entry says where name and value stand, one behind the other.
type entry struct{ start, name, value uint16 }

// size is what an entry counts.
func (e *entry) size() int { return int(e.name) + int(e.value) + entryOverhead }

// at returns the entry with an index, 0 being the newest. The slices are valid until
// the table changes.
func (t *table) at(i int) (name, value []byte) {
	e := &t.entries[len(t.entries)-1-i]
	middle := int(e.start) + int(e.name)
	return t.bytes[e.start:middle:middle], t.bytes[middle : middle+int(e.value)]
}

// resize changes the size allowed.
func (t *table) resize(max int) {
	t.max = max
	t.evict(0)
	if max == 0 {
		*t = table{}
	}
}

// evict drops the oldest entries until another of that size fits.
func (t *table) evict(size int) {
	drop := 0
	for drop < len(t.entries) && t.size+size > t.max {
		t.size -= t.entries[drop].size()
		drop++
	}
	if drop > 0 {
		t.entries = t.entries[:copy(t.entries, t.entries[drop:])]
	}
}

// add adds an entry. Neither name nor value may be part of the table. One that is larger
// than the table empties it (RFC 7541 section 4.4).
func (t *table) add(name, value []byte) {
	size := len(name) + len(value) + entryOverhead
	t.evict(size)
	if size > t.max {
		return
	}
	t.makeRoom(len(name) + len(value))
	t.entries = append(t.entries, entry{uint16(len(t.bytes)), uint16(len(name)), uint16(len(value))})
	t.bytes = append(append(t.bytes, name...), value...)
	t.size += size
}

// makeRoom ensures that n more bytes fit: by moving those in use to the front, where
// that frees as much as they are, and otherwise by growing. The capacity stays below
// twice the limit, so that offsets fit.
func (t *table) makeRoom(n int) {
	if len(t.entries) == 0 {
		t.bytes = t.bytes[:0]
	}
	if len(t.bytes)+n <= cap(t.bytes) {
		return
	}
	first := len(t.bytes)
	if len(t.entries) > 0 {
		first = int(t.entries[0].start)
	}
	used := t.bytes[first:]
	into := t.bytes[:0]
	if need := len(used) + n; need > cap(t.bytes) || first < len(used) && cap(t.bytes) < tableLimit {
		into = make([]byte, 0, min(max(2*cap(t.bytes), need, 256), tableLimit))
	}
	t.bytes = append(into, used...)
	for i := range t.entries {
		t.entries[i].start -= uint16(first)
	}
}

// staticTable is that of RFC 7541 appendix A, from index 1.
var staticTable = [...]struct{ name, value string }{
	1:  {":authority", ""},
	2:  {":method", "GET"},
	3:  {":method", "POST"},
	4:  {":path", "/"},
	5:  {":path", "/index.html"},
	6:  {":scheme", "http"},
	7:  {":scheme", "https"},
	8:  {":status", "200"},
	9:  {":status", "204"},
	10: {":status", "206"},
	11: {":status", "304"},
	12: {":status", "400"},
	13: {":status", "404"},
	14: {":status", "500"},
	15: {"accept-charset", ""},
	16: {"accept-encoding", "gzip, deflate"},
	17: {"accept-language", ""},
	18: {"accept-ranges", ""},
	19: {"accept", ""},
	20: {"access-control-allow-origin", ""},
	21: {"age", ""},
	22: {"allow", ""},
	23: {"authorization", ""},
	24: {"cache-control", ""},
	25: {"content-disposition", ""},
	26: {"content-encoding", ""},
	27: {"content-language", ""},
	28: {"content-length", ""},
	29: {"content-location", ""},
	30: {"content-range", ""},
	31: {"content-type", ""},
	32: {"cookie", ""},
	33: {"date", ""},
	34: {"etag", ""},
	35: {"expect", ""},
	36: {"expires", ""},
	37: {"from", ""},
	38: {"host", ""},
	39: {"if-match", ""},
	40: {"if-modified-since", ""},
	41: {"if-none-match", ""},
	42: {"if-range", ""},
	43: {"if-unmodified-since", ""},
	44: {"last-modified", ""},
	45: {"link", ""},
	46: {"location", ""},
	47: {"max-forwards", ""},
	48: {"proxy-authenticate", ""},
	49: {"proxy-authorization", ""},
	50: {"range", ""},
	51: {"referer", ""},
	52: {"refresh", ""},
	53: {"retry-after", ""},
	54: {"server", ""},
	55: {"set-cookie", ""},
	56: {"strict-transport-security", ""},
	57: {"transfer-encoding", ""},
	58: {"user-agent", ""},
	59: {"vary", ""},
	60: {"via", ""},
	61: {"www-authenticate", ""},
}

const staticEntries = len(staticTable) - 1

// staticFields are the static table's entries as slices, which are never changed.
var staticFields = func() (fields [len(staticTable)]Field) {
	for i, e := range staticTable {
		fields[i] = Field{Name: []byte(e.name), Value: []byte(e.value)}
	}
	return fields
}()
