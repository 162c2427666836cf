package http1

// Limits of the syntax, which no configuration changes.
const (
	// MaxHead is the largest head that Parse accepts, in bytes, whatever its
	// max.
	MaxHead = 16 << 20
	// MaxFields is the most fields a head may have.
	MaxFields = 128
	// maxOptions is the most unknown fields that Connection may name: each is
	// searched for among all fields.
	maxOptions = 16
	// maxExtensions is how many bytes the chunk extensions of a message may
	// exceed its data by.
	maxExtensions = 4 << 10
	// maxTrailers is the most bytes a trailer section may have.
	maxTrailers = 8 << 10
)

// Framing says how the end of a message's body is found (RFC 9112 section 6.3).
type Framing uint8

// The values of Framing.
const (
	FramingNone    Framing = iota // no body: the message ends with its head
	FramingLength                 // as many bytes as Length says; at least one
	FramingChunked                // the chunked coding: see Chunked
	FramingClose                  // until the connection ends; responses only
)

// String returns the framing's name, for logs and tests.
func (f Framing) String() string {
	switch f {
	case FramingLength:
		return "length"
	case FramingChunked:
		return "chunked"
	case FramingClose:
		return "close"
	}
	return "none"
}

// Method is a request method (RFC 9110 section 9, RFC 5789).
type Method uint8

// The methods a proxy distinguishes. Every other method is MethodOther; CONNECT
// is refused and has no value. Methods are case-sensitive: "get" is
// MethodOther.
const (
	MethodOther Method = iota
	MethodGet
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodOptions
	MethodTrace
	MethodPatch
)

// methodOf returns the value of a method's name.
func methodOf(name []byte) Method {
	switch string(name) {
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "POST":
		return MethodPost
	case "PUT":
		return MethodPut
	case "DELETE":
		return MethodDelete
	case "OPTIONS":
		return MethodOptions
	case "TRACE":
		return MethodTrace
	case "PATCH":
		return MethodPatch
	}
	return MethodOther
}

// Idempotent reports whether a request with method m may be repeated when the
// first brought no response (RFC 9110 section 9.2.2). An unknown method is not
// idempotent.
func (m Method) Idempotent() bool {
	switch m {
	case MethodGet, MethodHead, MethodPut, MethodDelete, MethodOptions, MethodTrace:
		return true
	}
	return false
}

// expectsBody reports whether servers can be relied on to read the body of a
// request with method m: the other methods define none.
func (m Method) expectsBody() bool {
	switch m {
	case MethodGet, MethodHead, MethodDelete, MethodOptions, MethodTrace:
		return false
	}
	return true
}
