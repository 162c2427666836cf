package http1

// Reason says why a message was refused; the zero value, ReasonNone, that it
// was not. It is a small number, so counters can be an array of NumReasons.
type Reason uint8

// The reasons. The first fault of a message in reading order counts, and a
// fault of syntax (bytes, lines, names) before one of meaning (Host, framing).
const (
	ReasonNone Reason = iota

	// The first line.
	ReasonMethod      // no method, or one that is not a token
	ReasonConnect     // CONNECT: this is not a forward proxy
	ReasonTarget      // an empty target, or a byte that is not visible ASCII
	ReasonFragment    // "#" in the target
	ReasonForm        // neither /path nor http://authority; "*" except for OPTIONS
	ReasonNoVersion   // HTTP/0.9
	ReasonVersion     // not HTTP/digit.digit and the end of the line
	ReasonUnsupported // a version other than 1.0 and 1.1
	ReasonStatusLine  // of a response: malformed, or a status outside 100 to 999

	// Lines and fields.
	ReasonBareLF       // LF without CR
	ReasonBareCR       // CR without LF
	ReasonControl      // a control byte in a value
	ReasonFold         // obs-fold: a line that begins with white space
	ReasonName         // an empty field name, or one that is not a token
	ReasonSpace        // white space between field name and colon
	ReasonHeadSize     // the head is larger than its limit
	ReasonLineSize     // the request line alone is larger
	ReasonFieldCount   // more than MaxFields fields
	ReasonOptionCount  // Connection names too many fields
	ReasonExpect       // Expect other than 100-continue
	ReasonNoHost       // HTTP/1.1 without Host, or an empty one
	ReasonSeveralHosts // more than one Host
	ReasonHost         // Host, or the target's authority, is malformed
	ReasonHostMismatch // Host differs from the target's authority
	ReasonWebSocketKey // an upgrade to websocket without a good Sec-WebSocket-Key

	// Framing.
	ReasonLength         // Content-Length is not a plain decimal number
	ReasonSeveralLengths // Content-Lengths that differ
	ReasonLengthCoding   // both Content-Length and Transfer-Encoding
	ReasonCoding         // Transfer-Encoding is not exactly chunked, once
	ReasonCodingHTTP10   // Transfer-Encoding in an HTTP/1.0 message
	ReasonBody           // a body where none is allowed

	// Chunked coding.
	ReasonChunkSize       // not hexadecimal digits, or too many of them
	ReasonExtension       // a malformed chunk extension
	ReasonExtensionSize   // endless chunk extensions
	ReasonChunkEnd        // no CRLF after a chunk's data
	ReasonTrailerSize     // an endless trailer section
	ReasonUnaskedUpgrade  // of a response: 101 that was not asked for, or for another protocol
	ReasonContentCoding   // of a response: compressed data that are corrupt, where they must be read
	ReasonWebSocketAccept // of a response: 101 whose Sec-WebSocket-Accept does not answer the key

	// NumReasons is the number of reasons, ReasonNone included.
	NumReasons
)

type reasonText struct {
	status int
	word   string
	text   string
}

var reasonTexts = [NumReasons]reasonText{
	ReasonNone:            {200, "none", "nothing is wrong"},
	ReasonMethod:          {400, "method", "the method is not a token"},
	ReasonConnect:         {501, "connect", "CONNECT is not served here"},
	ReasonTarget:          {400, "target", "the request target is empty or has a byte that must be percent-encoded"},
	ReasonFragment:        {400, "fragment", "the request target has a fragment"},
	ReasonForm:            {400, "target_form", "the request target is neither a path nor an http URI"},
	ReasonNoVersion:       {400, "http09", "the request line has no version (HTTP/0.9)"},
	ReasonVersion:         {400, "version", "the HTTP version is malformed"},
	ReasonUnsupported:     {505, "version_unsupported", "the HTTP version is neither 1.0 nor 1.1"},
	ReasonStatusLine:      {502, "status_line", "the status line is malformed"},
	ReasonBareLF:          {400, "bare_lf", "a line ends with LF alone"},
	ReasonBareCR:          {400, "bare_cr", "CR without LF"},
	ReasonControl:         {400, "control_byte", "a field value has a control byte"},
	ReasonFold:            {400, "fold", "a field is continued on a second line (obs-fold)"},
	ReasonName:            {400, "field_name", "a field name is empty or not a token"},
	ReasonSpace:           {400, "space_before_colon", "white space between field name and colon"},
	ReasonHeadSize:        {431, "head_size", "the head is larger than allowed"},
	ReasonLineSize:        {414, "line_size", "the request line is longer than allowed"},
	ReasonFieldCount:      {431, "field_count", "the message has too many fields"},
	ReasonOptionCount:     {400, "option_count", "Connection names too many fields"},
	ReasonExpect:          {417, "expect", "Expect is not 100-continue"},
	ReasonNoHost:          {400, "no_host", "Host is missing or empty"},
	ReasonSeveralHosts:    {400, "several_hosts", "more than one Host"},
	ReasonHost:            {400, "host", "Host or the target's authority is malformed"},
	ReasonHostMismatch:    {400, "host_mismatch", "Host differs from the target's authority"},
	ReasonWebSocketKey:    {400, "websocket_key", "Sec-WebSocket-Key is not 16 bytes in base64, once"},
	ReasonLength:          {400, "length", "Content-Length is not a plain decimal number"},
	ReasonSeveralLengths:  {400, "several_lengths", "several Content-Lengths that differ"},
	ReasonLengthCoding:    {400, "length_and_coding", "both Content-Length and Transfer-Encoding"},
	ReasonCoding:          {400, "coding", "Transfer-Encoding is not exactly chunked"},
	ReasonCodingHTTP10:    {400, "coding_http10", "Transfer-Encoding in an HTTP/1.0 message"},
	ReasonBody:            {400, "body", "a body where there can be none"},
	ReasonChunkSize:       {400, "chunk_size", "a chunk size is not a plain hexadecimal number"},
	ReasonExtension:       {400, "chunk_extension", "a chunk extension is malformed"},
	ReasonExtensionSize:   {400, "chunk_extension_size", "the chunk extensions are larger than allowed"},
	ReasonChunkEnd:        {400, "chunk_end", "no CRLF after a chunk's data"},
	ReasonTrailerSize:     {400, "trailer_size", "the trailer section is larger than allowed"},
	ReasonUnaskedUpgrade:  {502, "unasked_upgrade", "101 for an upgrade that was not asked for"},
	ReasonContentCoding:   {502, "content_coding", "the compressed body is corrupt"},
	ReasonWebSocketAccept: {502, "websocket_accept", "Sec-WebSocket-Accept does not answer the key of the handshake"},
}

// Status returns the status of the response to a request refused for r. A
// refused response always becomes a 502, whatever r.
func (r Reason) Status() int {
	if r >= NumReasons {
		return 400
	}
	return reasonTexts[r].status
}

// String returns r as one stable word, for counters and logs.
func (r Reason) String() string {
	if r >= NumReasons {
		return "unknown"
	}
	return reasonTexts[r].word
}

// Text returns r as a sentence, without a capital and a full stop.
func (r Reason) Text() string {
	if r >= NumReasons {
		return "unknown reason"
	}
	return reasonTexts[r].text
}
