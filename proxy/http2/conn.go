package http2

// Settings are what a connection grants its client. They must not change while it lives.
type Settings struct {
	// MaxStreams is how many streams may be open at once, those included whose
	// exchange with the server is not over yet.
	MaxStreams uint32
	// StreamWindow is what a client may send of a body before anything of it is taken,
	// in bytes, 1 at least; MaxStreamWindow what that grows to while the caller gives
	// credit (see Conn.Credit).
	StreamWindow, MaxStreamWindow int32
	// ConnWindow is that of all streams together, 65,535 at least. Growth may take half of
	// it; the other half is for what streams begin with.
	ConnWindow int32
	// MaxHead is the largest head of a request, in bytes of its text.
	MaxHead int
	// ExtendedConnect announces that WebSocket is served by extended CONNECT (RFC 8441).
	ExtendedConnect bool
}

// connWindow is ConnWindow, or the least that the protocol allows.
func (s *Settings) connWindow() int32 { return max(s.ConnWindow, defaultWindow) }

// Bounds of a header block, beside Settings.MaxHead.
const (
	// mostBlock is the most bytes of a block in several frames.
	mostBlock = 64 << 10
	// mostContinuations is the most frames behind the first.
	mostContinuations = 32
)

// Conn is the server's side of one connection: it turns what the client sends into events,
// and keeps what both sides may send. Its states:
//
//	state        event                              next
//	preface      the preface is complete            settings
//	settings     SETTINGS                           ready
//	ready        HEADERS without END_HEADERS        block
//	ready        the header of DATA                 data
//	block        CONTINUATION with END_HEADERS      ready
//	block        any other frame                    failed
//	data         the last byte of the frame         ready
//	any          an error of the connection         failed; GOAWAY is sent
//	failed       (final)
//
// The zero value is not ready: see Start and Restore.
type Conn struct {
	settings *Settings
	shared   *Shared
	decoder  Decoder
	encoder  encoder
	streams  streamList
	ended    endedStreams
	window   receiveWindow
	score    score

	state        connState
	acknowledged bool // our SETTINGS are
	leaving      bool // GOAWAY is sent
	lastStream   uint32

	peerWindow int32 // SETTINGS_INITIAL_WINDOW_SIZE of the client
	sendWindow int32

	data  dataFrame
	block headerBlock
}

type connState uint8

const (
	connPreface connState = iota
	connSettings
	connReady
	connBlock
	connData
	connFailed
)

// dataFrame is the DATA of which a part has come.
type dataFrame struct {
	id        uint32
	left      int32 // of the data
	padding   int32 // behind it
	endStream bool
	discard   bool // it is of no use
}

// headerBlock is a header block of which a part has come.
type headerBlock struct {
	id        uint32
	flags     uint8
	frames    uint8
	dependsOn uint32 // the stream itself is an error
	bytes     []byte // nil unless the block has several frames
}

// EventKind says what a client did.
type EventKind uint8

// The kinds of events.
const (
	// EventNone: nothing but what is in out already. More bytes are needed.
	EventNone EventKind = iota
	// EventRequest opens Stream. Head is the text of a request's head in HTTP/1.1, with
	// Content-Length or chunked framing unless End says that no body follows; DATA has no
	// chunks. It asks for an upgrade where WebSocket is set: then DATA is the WebSocket's
	// stream, and a 101 is the answer that accepts.
	EventRequest
	// EventTooLarge opens Stream, too, with a head over its limit: answer 431. End is as in
	// EventRequest; Head is what was kept, not complete, with the Origin wherever it stood.
	EventTooLarge
	// EventRefused: the stream with that ID was not opened, for Reason, and has been reset.
	// A malformed request, or one too many.
	EventRefused
	// EventData brings a piece of Stream's body. End is set with the last, which may be
	// empty. Give the bytes back by Conn.Credit.
	EventData
	// EventTrailers ends Stream's body with trailers: Head has their lines.
	EventTrailers
	// EventReset: the client has reset Stream with Code, or its fault made it necessary,
	// for Reason. The stream is closed.
	EventReset
	// EventWindow: more can be sent, on Stream, or, where that is nil, on any.
	EventWindow
	// EventGoAway: the client opens no more streams.
	EventGoAway
	// EventFailed: the connection is over, with Code, for Reason. GOAWAY is in out. Next
	// must not be called again.
	EventFailed
)

// Event is what a client did. Its slices are valid until the next call, or a change of
// the bytes that Next was given.
type Event struct {
	Kind      EventKind
	End       bool // the client has finished the stream
	WebSocket bool
	Reason    Reason
	Code      ErrorCode
	ID        uint32 // the stream's; 0 where the connection is meant
	Stream    *Stream
	Head      []byte
	Data      []byte
}

// Start begins a connection and appends the SETTINGS that a server sends first.
func (c *Conn) Start(shared *Shared, settings *Settings, dst []byte) []byte {
	*c = Conn{
		shared: shared, settings: settings,
		peerWindow: defaultWindow, sendWindow: defaultWindow,
		encoder: encoder{tableSize: tableLimit}, window: newReceiveWindow(settings),
	}
	const sizeOfSetting = 6
	length := 4 * sizeOfSetting
	if settings.ExtendedConnect {
		length += sizeOfSetting
	}
	dst = AppendFrameHeader(dst, length, FrameSettings, 0, 0)
	dst = appendSetting(dst, settingMaxConcurrentStreams, settings.MaxStreams)
	dst = appendSetting(dst, settingInitialWindowSize, uint32(settings.StreamWindow))
	dst = appendSetting(dst, settingMaxHeaderListSize, uint32(settings.MaxHead))
	dst = appendSetting(dst, settingNoPriorities, 1)
	if settings.ExtendedConnect {
		dst = appendSetting(dst, settingEnableConnect, 1)
	}
	if more := c.window.left - defaultWindow; more > 0 {
		dst = appendWindowUpdate(dst, 0, more)
	}
	return dst
}

// Established reports whether the client has sent the preface and its SETTINGS, and no
// header block is unfinished: a caller's time limit covers what is not.
func (c *Conn) Established() bool { return c.state == connReady || c.state == connData }

// LastStream returns the highest identifier of a stream that the client opened.
func (c *Conn) LastStream() uint32 { return c.lastStream }

// Leaving reports whether GOAWAY has been sent.
func (c *Conn) Leaving() bool { return c.leaving }

// Window returns how much DATA the connection's window lets us send, on all streams
// together.
func (c *Conn) Window() int { return max(int(c.sendWindow), 0) }

// rest lets go of what an idle connection does not need.
func (c *Conn) rest() {
	c.encoder.rest()
	if cap(c.streams) > 16 {
		c.streams = nil
	}
	if cap(c.block.bytes) > 0 && c.state != connBlock {
		c.block.bytes = nil
	}
}
