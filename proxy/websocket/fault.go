package websocket

// FrameFault says what is wrong with a frame; the zero value, FrameOK, that
// nothing is. It is a small number, so counters can be an array of
// NumFrameFaults.
type FrameFault uint8

// The faults, each with the section of RFC 6455 that it violates.
const (
	FrameOK                FrameFault = iota
	FrameReserved                     // RSV bits without an extension: 5.2
	FrameOpcode                       // a reserved opcode: 5.2
	FrameUnmasked                     // a client's frame without mask: 5.1
	FrameMasked                       // a server's frame with a mask: 5.1
	FrameLength                       // a length not in its shortest form, or its top bit set: 5.2
	FrameFragmentedControl            // a control frame without FIN: 5.5
	FrameLongControl                  // a control frame longer than 125 bytes: 5.5
	FrameNothingToContinue            // a continuation without a message: 5.4
	FrameInterleaved                  // a new message before the end of the last: 5.4
	FrameTooLarge                     // a message larger than the limit: 10.4

	// NumFrameFaults is the number of faults, FrameOK included.
	NumFrameFaults
)

var frameFaults = [NumFrameFaults]struct {
	word string
	text string
}{
	FrameOK:                {"none", "nothing is wrong"},
	FrameReserved:          {"reserved_bits", "reserved bits without an extension"},
	FrameOpcode:            {"opcode", "reserved opcode"},
	FrameUnmasked:          {"unmasked", "a client's frame without mask"},
	FrameMasked:            {"masked", "a server's frame with a mask"},
	FrameLength:            {"length", "malformed length"},
	FrameFragmentedControl: {"fragmented_control", "fragmented control frame"},
	FrameLongControl:       {"long_control", "control frame longer than 125 bytes"},
	FrameNothingToContinue: {"nothing_to_continue", "continuation without a message"},
	FrameInterleaved:       {"interleaved", "new message before the end of the last"},
	FrameTooLarge:          {"too_large", "message larger than allowed"},
}

// String returns f as one stable word, for counters and logs.
func (f FrameFault) String() string { return frameFaults[min(f, NumFrameFaults-1)].word }

// Error returns f as a phrase that fits into a Close frame's reason.
func (f FrameFault) Error() string { return frameFaults[min(f, NumFrameFaults-1)].text }

// CloseCode returns the status code with which to close the connection.
func (f FrameFault) CloseCode() uint16 {
	if f == FrameTooLarge {
		return CloseTooLarge
	}
	return CloseProtocolError
}
