package mcp

// dataLines finds the data in an event stream (HTML Standard, section 9.2.5): what the
// lines of the field data have behind their colon, and a space. The zero value is at the
// beginning of a stream.
//
//	state   byte           next
//	name    CR LF          name; an empty line ends an event
//	        of "data"      name
//	        : behind data  space
//	        any other      other
//	space   a space        data
//	        any other      as in data
//	data    CR LF          name
//	other   CR LF          name
type dataLines struct {
	state   dataState
	matched uint8 // bytes of "data" that the line begins with
	mark    uint8 // bytes of the byte order mark that the stream begins with
	begun   bool  // behind it
	afterCR bool  // an LF belongs to the end of the line before
}

type dataState uint8

const (
	dataName dataState = iota
	dataSpace
	dataContent
	dataOther
	numDataStates
)

// dataRun is what a run of bytes is.
type dataRun uint8

const (
	runOther dataRun = iota
	runData
	runEventEnds
)

const dataField = "data"

// next returns how many bytes p, which is not empty, begins with that are of one kind.
func (d *dataLines) next(p []byte) (n int, run dataRun) {
	b := p[0]
	if !d.begun && d.inMark(b) {
		return 1, runOther
	}
	if d.afterCR {
		if d.afterCR = false; b == '\n' {
			return 1, runOther
		}
	}
	if b == '\r' || b == '\n' {
		empty := d.state == dataName && d.matched == 0
		d.state, d.matched, d.afterCR = dataName, 0, b == '\r'
		if empty {
			return 1, runEventEnds
		}
		return 1, runOther
	}
	switch d.state {
	case dataName:
		d.name(b)
		return 1, runOther
	case dataSpace:
		d.state = dataContent
		if b == ' ' {
			return 1, runOther
		}
	case dataOther:
		return lineLength(p), runOther
	}
	return lineLength(p), runData
}

// inMark reports whether b belongs to the byte order mark at the beginning.
func (d *dataLines) inMark(b byte) bool {
	if b == byteOrderMark[d.mark] {
		d.mark++
		d.begun = int(d.mark) == len(byteOrderMark)
		return true
	}
	d.begun = true
	if d.mark > 0 {
		d.state = dataOther
	}
	return false
}

// name reads a byte of the name of a field.
func (d *dataLines) name(b byte) {
	switch {
	case int(d.matched) < len(dataField) && b == dataField[d.matched]:
		d.matched++
	case int(d.matched) == len(dataField) && b == ':':
		d.state = dataSpace
	default:
		d.state = dataOther
	}
}
