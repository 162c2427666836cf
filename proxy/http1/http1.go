package http1

// The bounds of syntax, in force whatever the configuration says.
const (
	// MaxHead is the largest head in bytes that Parse takes, whatever its max.
	MaxHead = 16 << 20
	// MaxFields is how many fields a head may have.
	MaxFields = 128
	// maxOptions is how many fields unknown here Connection may name: each is
	// looked for among all fields.
	maxOptions = 16
	// maxExtensions is by how many bytes the chunk extensions of a message may
	// exceed its data.
	maxExtensions = 4 << 10
	// maxTrailers is how many bytes the trailer section may have.
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

// The methods that mean something to a proxy. Every other one is MethodOther;
// CONNECT is refused and has no value. Methods have case: "get" is MethodOther.
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

// Idempotent reports whether a request of method m may be sent a second time
// when nothing came back for the first (RFC 9110 section 9.2.2). What is
// unknown is not idempotent.
func (m Method) Idempotent() bool {
	switch m {
	case MethodGet, MethodHead, MethodPut, MethodDelete, MethodOptions, MethodTrace:
		return true
	}
	return false
}

// expectsBody reports whether a server may be relied on to read the body of a
// request of method m: the others have none by their definition.
func (m Method) expectsBody() bool {
	switch m {
	case MethodGet, MethodHead, MethodDelete, MethodOptions, MethodTrace:
		return false
	}
	return true
}
