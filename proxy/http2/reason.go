package http2

// ErrorCode says why a stream or a connection ends (RFC 9113 section 7).
type ErrorCode uint32

// The error codes.
const (
	NoError ErrorCode = iota
	ProtocolError
	InternalError
	FlowControlError
	SettingsTimeout
	StreamClosed
	FrameSizeError
	RefusedStream
	Cancel
	CompressionError
	ConnectError
	EnhanceYourCalm
	InadequateSecurity
	HTTP11Required
)

var codeNames = [...]string{"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
	"STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR",
	"ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"}

// String returns the code's name, or "unknown".
func (c ErrorCode) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "unknown"
}

// Reason says what is wrong with a stream or a connection; the zero value,
// ReasonNone, that nothing is. It is a small number, so counters can be an array of
// NumReasons.
type Reason uint8

// The reasons.
const (
	ReasonNone Reason = iota

	// Of a request: the stream ends with PROTOCOL_ERROR, but for ReasonHeadSize.
	ReasonHeadSize       // the head is larger than its limit: answer with 431
	ReasonPseudoUnknown  // a pseudo-header field that requests do not have
	ReasonPseudoRepeated // one that stands twice
	ReasonPseudoLate     // one behind an ordinary field, or in trailers
	ReasonPseudoMissing  // :method, :scheme or :path is missing
	ReasonMethod         // :method is not a token
	ReasonScheme         // :scheme is not http or https
	ReasonPath           // :path is empty, relative, or not visible ASCII
	ReasonAuthority      // :authority is malformed
	ReasonHostMismatch   // Host differs from :authority, or stands twice
	ReasonConnect        // CONNECT with the wrong pseudo-header fields, or :protocol without it
	ReasonUpperCase      // a field name has a capital letter
	ReasonName           // a field name is empty or no token
	ReasonValue          // a control byte in a value, or white space around it
	ReasonConnection     // a field that concerns one connection of HTTP/1.1 only
	ReasonTE             // TE other than trailers
	ReasonLength         // Content-Length is not one plain decimal number
	ReasonLengthMismatch // Content-Length and DATA differ
	ReasonTrailers       // a second head does not end the stream

	// Of a stream.
	ReasonStreamClosed // a frame on a stream that has ended
	ReasonRefused      // more streams than allowed, or one after GOAWAY
	ReasonWindow       // a window was exceeded, overflowed or incremented by zero
	ReasonDependency   // a stream that depends on itself

	// Of a connection.
	ReasonPreface     // what came first is not the preface, or no SETTINGS follow
	ReasonFrameSize   // a frame is longer than allowed, or has the wrong length
	ReasonFrame       // a frame where its type is not allowed, or malformed
	ReasonStreamID    // a stream identifier that is even, too low, or not in use
	ReasonPadding     // more padding than payload
	ReasonSetting     // a setting with an invalid value
	ReasonCompression // a header block that cannot be decoded
	ReasonBlock       // a header block of too many bytes or frames
	ReasonScore       // too much work without a purpose

	// NumReasons is the number of reasons, ReasonNone included.
	NumReasons
)

var reasons = [NumReasons]struct{ word, text string }{
	ReasonNone:           {"none", ""},
	ReasonHeadSize:       {"head_size", "the head is larger than allowed"},
	ReasonPseudoUnknown:  {"pseudo_unknown", "a pseudo-header field is unknown"},
	ReasonPseudoRepeated: {"pseudo_repeated", "a pseudo-header field stands twice"},
	ReasonPseudoLate:     {"pseudo_late", "a pseudo-header field stands behind an ordinary one, or in trailers"},
	ReasonPseudoMissing:  {"pseudo_missing", "a pseudo-header field is missing"},
	ReasonMethod:         {"method", "the method is malformed"},
	ReasonScheme:         {"scheme", "the scheme is neither http nor https"},
	ReasonPath:           {"path", "the path is malformed"},
	ReasonAuthority:      {"authority", "the authority is malformed"},
	ReasonHostMismatch:   {"host_mismatch", "Host differs from :authority, or stands twice"},
	ReasonConnect:        {"connect", "CONNECT has the wrong pseudo-header fields"},
	ReasonUpperCase:      {"upper_case", "a field name has a capital letter"},
	ReasonName:           {"name", "a field name is malformed"},
	ReasonValue:          {"value", "a field value has a control byte, or white space around it"},
	ReasonConnection:     {"connection", "a field concerns a connection of HTTP/1.1"},
	ReasonTE:             {"te", "TE is not trailers"},
	ReasonLength:         {"length", "Content-Length is not a plain decimal number"},
	ReasonLengthMismatch: {"length_mismatch", "Content-Length differs from the length of the body"},
	ReasonTrailers:       {"trailers", "a second head does not end the stream"},
	ReasonStreamClosed:   {"stream_closed", "a frame came on a stream that has ended"},
	ReasonRefused:        {"refused", "there are more streams than allowed"},
	ReasonWindow:         {"window", "a window was exceeded, or its increment is invalid"},
	ReasonDependency:     {"dependency", "a stream depends on itself"},
	ReasonPreface:        {"preface", "the connection does not begin with preface and SETTINGS"},
	ReasonFrameSize:      {"frame_size", "a frame has an invalid length"},
	ReasonFrame:          {"frame", "a frame is not allowed here"},
	ReasonStreamID:       {"stream_id", "a stream identifier is invalid"},
	ReasonPadding:        {"padding", "there is more padding than payload"},
	ReasonSetting:        {"setting", "a setting has an invalid value"},
	ReasonCompression:    {"compression", "a header block cannot be decoded"},
	ReasonBlock:          {"block", "a header block has too many bytes or frames"},
	ReasonScore:          {"score", "too many frames without a purpose"},
}

// String returns r as one stable word, for counters and logs.
func (r Reason) String() string { return reasons[r].word }

// Text returns r as a sentence, without a capital and a full stop.
func (r Reason) Text() string { return reasons[r].text }
