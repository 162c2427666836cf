package http2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// frame returns a frame.
func frame(kind FrameType, flags uint8, stream uint32, payload ...byte) []byte {
	return append(AppendFrameHeader(nil, len(payload), kind, flags, stream), payload...)
}

// zeros are n bytes.
func zeros(n int) []byte { return make([]byte, n) }

// setting is a SETTINGS frame with one value.
func setting(id uint16, value uint32) []byte {
	return frame(FrameSettings, 0, 0, appendSetting(nil, id, value)...)
}

// increment is a WINDOW_UPDATE.
func increment(stream uint32, n uint32) []byte {
	return frame(FrameWindowUpdate, 0, stream, binary.BigEndian.AppendUint32(nil, n)...)
}

// What ends a connection or a stream, frame by frame. Stream 1 has an open request, stream 3
// one that has been answered while the client was still sending, stream 5 one that is over,
// stream 7 one that the client has finished.
func TestFrames(t *testing.T) {
	t.Parallel()
	getBlock := []byte{0x82, 0x87, 0x84, 0x41, 1, 'a'}
	for name, c := range map[string]struct {
		frames []byte
		code   ErrorCode
		why    Reason
		stream uint32 // that ends; 0: the connection
	}{
		"frame of 16,385 bytes":                     {frame(FramePing, 0, 0, zeros(MaxFrameSize+1)...), FrameSizeError, ReasonFrameSize, 0},
		"DATA on stream 0":                          {frame(FrameData, 0, 0, 1), ProtocolError, ReasonStreamID, 0},
		"DATA on an idle stream":                    {frame(FrameData, 0, 9, 1), ProtocolError, ReasonStreamID, 0},
		"DATA on a stream of the server's":          {frame(FrameData, 0, 2, 1), ProtocolError, ReasonStreamID, 0},
		"DATA on a stream that is over":             {frame(FrameData, 0, 5, 1), StreamClosed, ReasonStreamClosed, 0},
		"DATA on a finished stream":                 {frame(FrameData, 0, 7, 1), StreamClosed, ReasonStreamClosed, 7},
		"DATA with padding of all":                  {frame(FrameData, FlagPadded, 1, 3, 0, 0), ProtocolError, ReasonPadding, 0},
		"DATA with padding, empty":                  {frame(FrameData, FlagPadded, 1), FrameSizeError, ReasonFrameSize, 0},
		"HEADERS on stream 0":                       {frame(FrameHeaders, FlagEndHeaders, 0, getBlock...), ProtocolError, ReasonStreamID, 0},
		"HEADERS on an even stream":                 {frame(FrameHeaders, FlagEndHeaders, 10, getBlock...), ProtocolError, ReasonStreamID, 0},
		"HEADERS on a stream that is over":          {frame(FrameHeaders, FlagEndHeaders|FlagEndStream, 5, getBlock...), StreamClosed, ReasonStreamClosed, 0},
		"HEADERS on a finished stream":              {frame(FrameHeaders, FlagEndHeaders|FlagEndStream, 7, 0, 1, 'a', 0), StreamClosed, ReasonStreamClosed, 7},
		"HEADERS with padding of all":               {frame(FrameHeaders, FlagEndHeaders|FlagPadded, 9, 6, 0x82, 0x87, 0x84, 0, 0), ProtocolError, ReasonPadding, 0},
		"HEADERS too short for a priority":          {frame(FrameHeaders, FlagEndHeaders|FlagPriority, 9, 0, 0, 0), FrameSizeError, ReasonFrameSize, 0},
		"HEADERS, padded and too short":             {frame(FrameHeaders, FlagEndHeaders|FlagPadded, 9), FrameSizeError, ReasonFrameSize, 0},
		"HEADERS that do not decode":                {frame(FrameHeaders, FlagEndHeaders, 9, 0x80), CompressionError, ReasonCompression, 0},
		"HEADERS that do not decode, on a dead one": {frame(FrameHeaders, FlagEndHeaders, 3, 0x80), CompressionError, ReasonCompression, 0},
		"trailers without the end":                  {frame(FrameHeaders, FlagEndHeaders, 1, 0, 1, 'a', 0), ProtocolError, ReasonTrailers, 1},
		"HEADERS, then DATA inside the block":       {append(frame(FrameHeaders, 0, 9, getBlock...), frame(FrameData, 0, 1)...), ProtocolError, ReasonFrame, 0},
		"HEADERS, then PRIORITY inside the block":   {append(frame(FrameHeaders, 0, 9, getBlock...), frame(FramePriority, 0, 9, zeros(5)...)...), ProtocolError, ReasonFrame, 0},
		"HEADERS, then an unknown frame inside":     {append(frame(FrameHeaders, 0, 9, getBlock...), frame(0x33, 0, 9)...), ProtocolError, ReasonFrame, 0},
		"CONTINUATION of another stream":            {append(frame(FrameHeaders, 0, 9, getBlock...), frame(FrameContinuation, 0, 11)...), ProtocolError, ReasonFrame, 0},
		"CONTINUATION without HEADERS":              {frame(FrameContinuation, FlagEndHeaders, 1), ProtocolError, ReasonFrame, 0},
		"CONTINUATION without an end":               {append(frame(FrameHeaders, 0, 9, getBlock...), bytes.Repeat(frame(FrameContinuation, 0, 9), 40)...), EnhanceYourCalm, ReasonBlock, 0},
		"CONTINUATION of too many bytes":            {append(frame(FrameHeaders, 0, 9, getBlock...), bytes.Repeat(frame(FrameContinuation, 0, 9, zeros(9000)...), 10)...), EnhanceYourCalm, ReasonBlock, 0},
		"PRIORITY on stream 0":                      {frame(FramePriority, 0, 0, zeros(5)...), ProtocolError, ReasonStreamID, 0},
		"PRIORITY of the wrong size":                {frame(FramePriority, 0, 1, zeros(4)...), FrameSizeError, ReasonFrameSize, 1},
		"PRIORITY on itself":                        {frame(FramePriority, 0, 1, 0, 0, 0, 1, 0), ProtocolError, ReasonDependency, 1},
		"RST_STREAM on stream 0":                    {frame(FrameRSTStream, 0, 0, zeros(4)...), ProtocolError, ReasonStreamID, 0},
		"RST_STREAM of the wrong size":              {frame(FrameRSTStream, 0, 1, zeros(3)...), FrameSizeError, ReasonFrameSize, 0},
		"RST_STREAM on an idle stream":              {frame(FrameRSTStream, 0, 9, zeros(4)...), ProtocolError, ReasonStreamID, 0},
		"SETTINGS on a stream":                      {frame(FrameSettings, 0, 1), ProtocolError, ReasonStreamID, 0},
		"SETTINGS of the wrong size":                {frame(FrameSettings, 0, 0, zeros(5)...), FrameSizeError, ReasonFrameSize, 0},
		"SETTINGS: acknowledgement with a payload":  {frame(FrameSettings, FlagAck, 0, zeros(6)...), FrameSizeError, ReasonFrameSize, 0},
		"SETTINGS_ENABLE_PUSH 2":                    {setting(settingEnablePush, 2), ProtocolError, ReasonSetting, 0},
		"SETTINGS_INITIAL_WINDOW_SIZE 2^31":         {setting(settingInitialWindowSize, 1<<31), FlowControlError, ReasonSetting, 0},
		"SETTINGS_MAX_FRAME_SIZE 16,383":            {setting(settingMaxFrameSize, MaxFrameSize-1), ProtocolError, ReasonSetting, 0},
		"SETTINGS_MAX_FRAME_SIZE 2^24":              {setting(settingMaxFrameSize, 1<<24), ProtocolError, ReasonSetting, 0},
		"SETTINGS_ENABLE_CONNECT_PROTOCOL 2":        {setting(settingEnableConnect, 2), ProtocolError, ReasonSetting, 0},
		"window of a stream grown by SETTINGS":      {append(increment(1, maxWindow-defaultWindow), setting(settingInitialWindowSize, defaultWindow+1)...), FlowControlError, ReasonSetting, 0},
		"PUSH_PROMISE":                              {frame(FramePushPromise, FlagEndHeaders, 1, zeros(8)...), ProtocolError, ReasonFrame, 0},
		"PING on a stream":                          {frame(FramePing, 0, 1, zeros(8)...), ProtocolError, ReasonStreamID, 0},
		"PING of the wrong size":                    {frame(FramePing, 0, 0, zeros(7)...), FrameSizeError, ReasonFrameSize, 0},
		"GOAWAY on a stream":                        {frame(FrameGoAway, 0, 1, zeros(8)...), ProtocolError, ReasonStreamID, 0},
		"GOAWAY of the wrong size":                  {frame(FrameGoAway, 0, 0, zeros(7)...), FrameSizeError, ReasonFrameSize, 0},
		"WINDOW_UPDATE of the wrong size":           {frame(FrameWindowUpdate, 0, 0, zeros(3)...), FrameSizeError, ReasonFrameSize, 0},
		"WINDOW_UPDATE by zero":                     {increment(0, 0), ProtocolError, ReasonWindow, 0},
		"WINDOW_UPDATE by zero, of a stream":        {increment(1, 0), ProtocolError, ReasonWindow, 1},
		"WINDOW_UPDATE on an idle stream":           {increment(9, 1), ProtocolError, ReasonStreamID, 0},
		"window beyond 2^31-1":                      {increment(0, maxWindow), FlowControlError, ReasonWindow, 0},
		"window of a stream beyond 2^31-1":          {increment(1, maxWindow), FlowControlError, ReasonWindow, 1},
		"a request that depends on itself":          {frame(FrameHeaders, FlagEndHeaders|FlagPriority, 9, append([]byte{0, 0, 0, 9, 0}, getBlock...)...), ProtocolError, ReasonDependency, 9},
	} {
		p := newPeer(t)
		p.states()
		p.in.Write(c.frames)
		e := p.next()
		for e.Kind == EventWindow {
			e = p.next()
		}
		if e.Reason != c.why || e.Code != c.code || e.ID != c.stream || (e.Kind == EventFailed) != (c.stream == 0) {
			t.Errorf("%s: event %d of stream %d, %v, %v, want %v, %v of %d", name, e.Kind, e.ID, e.Code, e.Reason, c.code, c.why, c.stream)
		}
		if c.stream != 0 { // what was to be reset, was
			if want := appendReset(nil, c.stream, c.code); !bytes.Contains(p.out, want) {
				t.Errorf("%s: sent %x, want %x in it", name, p.out, want)
			}
		} else if want := appendGoAway(nil, 7, c.code, c.why.Text()); !bytes.HasSuffix(p.out, want) && !strings.Contains(name, "even") {
			t.Errorf("%s: sent %x, want %x at the end", name, p.out, want)
		}
	}
}

// states opens the streams that TestFrames wants.
func (p *peer) states() {
	response := []byte("HTTP/1.1 204 No Content\r\n\r\n")
	p.open(1, false, post...)
	e := p.open(3, false, post...)
	p.out = p.conn.AppendReset(p.conn.AppendResponse(p.out, e.Stream, response, true), e.Stream, NoError)
	p.out = p.conn.Release(p.out, e.Stream)
	e = p.open(5, true, get...)
	p.out = p.conn.Release(p.conn.AppendResponse(p.out, e.Stream, response, true), e.Stream)
	p.open(7, true, get...)
}

// What must not end anything: frames that were under way when a stream ended, unknown ones,
// and those that mean nothing here.
func TestIgnored(t *testing.T) {
	t.Parallel()
	for name, frames := range map[string][]byte{
		"DATA on a stream that we have reset":       frame(FrameData, 0, 3, zeros(100)...),
		"trailers of a stream that we have reset":   frame(FrameHeaders, FlagEndHeaders|FlagEndStream, 3, 0, 1, 'a', 0),
		"WINDOW_UPDATE on a stream that is over":    increment(5, 1),
		"RST_STREAM on a stream that is over":       frame(FrameRSTStream, 0, 5, zeros(4)...),
		"PRIORITY on an idle stream":                frame(FramePriority, 0, 99, zeros(5)...),
		"PRIORITY on a stream that is over":         frame(FramePriority, 0, 5, zeros(5)...),
		"unknown frame":                             frame(0x16, 0xff, 1, zeros(20)...),
		"unknown setting":                           setting(0x99, 1),
		"SETTINGS without any":                      frame(FrameSettings, 0, 0),
		"PING":                                      frame(FramePing, 0, 0, zeros(8)...),
		"empty DATA":                                frame(FrameData, 0, 1),
		"reserved bit of a stream identifier":       frame(FramePriority, 0, 1<<31|9, zeros(5)...),
		"unknown flags":                             frame(FramePing, 0xfe, 0, zeros(8)...),
		"SETTINGS_MAX_HEADER_LIST_SIZE of any size": setting(settingMaxHeaderListSize, 0),
	} {
		p := newPeer(t)
		p.states()
		p.in.Write(frames)
		p.none()
		if p.in.Len() > 0 {
			t.Errorf("%s: %d bytes are not read", name, p.in.Len())
		}
		p.open(9, true, get...)
	}
}

// A client that is not one of HTTP/2 gets GOAWAY, and methods that begin like the preface
// are requests of HTTP/1.1.
func TestPreface(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Match{
		"": MatchPartial, "P": MatchPartial, "PRI": MatchPartial, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r": MatchPartial,
		Preface: MatchYes, Preface + "x": MatchYes, "PRI / HTTP/1.1\r\n": MatchNo, "PRI * HTTP/1.1\r\n": MatchNo,
		"PROPFIND": MatchNo, "PRO": MatchNo, "POST": MatchNo, "G": MatchNo, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r ": MatchNo, "\x16": MatchNo,
	} {
		if got := MatchPreface([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	for name, first := range map[string]string{
		"HTTP/1.1":             "GET / HTTP/1.1\r\n\r\n",
		"no SETTINGS":          Preface + string(frame(FramePing, 0, 0, zeros(8)...)),
		"acknowledgement only": Preface + string(frame(FrameSettings, FlagAck, 0)),
	} {
		p := rawPeer(t)
		p.in.WriteString(first)
		if e := p.next(); e.Kind != EventFailed || e.Code != ProtocolError || e.Reason != ReasonPreface {
			t.Errorf("%s: event %d, %v, %v", name, e.Kind, e.Code, e.Reason)
		}
	}
}

// The windows bound what a client may send, on a stream and on all of them.
func TestReceiveWindows(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	p.open(1, false, post...)
	p.framer.WriteData(1, false, zeros(MaxFrameSize))
	if e := p.next(); e.Kind != EventData || len(e.Data) != MaxFrameSize {
		t.Fatalf("event %d, %v", e.Kind, e.Reason)
	}
	p.framer.WriteData(1, false, zeros(1))
	if e := p.next(); e.Kind != EventReset || e.Code != FlowControlError {
		t.Errorf("event %d, %v: the window of a stream is exceeded", e.Kind, e.Code)
	}
	// The connection's: streams that are reset give back what they held, so it is used up by those that stall.
	p = newPeer(t)
	failed := false
	for id := uint32(1); id < 100 && !failed; id += 2 {
		p.open(id, false, post...)
		p.framer.WriteData(id, false, zeros(MaxFrameSize))
		e := p.next()
		if failed = e.Kind == EventFailed; failed && (e.Code != FlowControlError || id < 8*4*2) {
			t.Errorf("stream %d: %v", id, e.Code)
		}
	}
	if !failed {
		t.Error("nothing bounds what a connection holds")
	}
}

// Uploads that stall hold only their own credit: twenty of them leave room for another, and
// once they are reset, all of it is back.
func TestStalledUploads(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	for round := range 5 {
		first := uint32(1 + round*100)
		var stalled []*Stream
		for i := range uint32(20) {
			e := p.open(first+2*i, false, post...)
			p.framer.WriteData(e.ID, false, zeros(MaxFrameSize))
			if e := p.next(); e.Kind != EventData {
				t.Fatalf("round %d, stream %d: event %d, %v", round, e.ID, e.Kind, e.Reason)
			}
			stalled = append(stalled, e.Stream)
		}
		id := first + 40
		e := p.open(id, false, post...)
		for i := range 100 {
			p.framer.WriteData(id, i == 99, zeros(8192))
			data := p.next()
			if data.Kind != EventData {
				t.Fatalf("round %d, piece %d: event %d, %v", round, i, data.Kind, data.Reason)
			}
			p.out = p.conn.Credit(p.out, e.Stream, len(data.Data))
		}
		for _, s := range append(stalled, e.Stream) {
			p.out = p.conn.Release(p.out, s)
		}
	}
	if held := 8*65536 - p.conn.window.left - p.conn.window.owed; held != 0 {
		t.Errorf("%d bytes of credit are lost", held)
	}
}

// upload sends what a stream's window allows, n bytes at the most, and has the caller take it;
// it returns how much that was.
func (p *peer) upload(s *Stream, n int, take bool) (sent int) {
	p.t.Helper()
	for sent < n && s.recvWindow > 0 && p.conn.window.left > 0 {
		piece := min(MaxFrameSize, n-sent, int(s.recvWindow), int(p.conn.window.left))
		p.framer.WriteData(s.id, false, zeros(piece))
		e := p.next()
		if e.Kind != EventData || len(e.Data) != piece {
			p.t.Fatalf("stream %d: event %d, %v, %d bytes", s.id, e.Kind, e.Reason, len(e.Data))
		}
		if take {
			p.out = p.conn.Credit(p.out, s, piece)
		}
		sent += piece
	}
	return sent
}

// Uploads that stall when their windows have grown leave credit to others, too, and what they
// had of growth goes to others when they end.
func TestGrownUploads(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	const most, size = 15, 1 << 20
	for round := range uint32(3) {
		first := 1 + round*100
		var stalled []*Stream
		for i := range uint32(most) {
			s := p.open(first+2*i, false, post...).Stream
			if sent := p.upload(s, size, true); sent != size {
				t.Fatalf("round %d: an upload that is taken stops after %d bytes", round, sent)
			}
			stalled = append(stalled, s)
		}
		if got := stalled[0].granted; got != testSettings.MaxStreamWindow {
			t.Errorf("round %d: the first window has grown to %d bytes", round, got)
		}
		for _, s := range stalled {
			p.upload(s, size, false)
			if s.recvWindow > 0 && p.conn.window.left == 0 {
				t.Fatalf("round %d: stream %d has used up the connection's window", round, s.id)
			}
		}
		other := p.open(first+2*most, false, post...).Stream
		if sent := p.upload(other, size, true); sent != size {
			t.Errorf("round %d: beside %d stalled uploads, another stops after %d bytes", round, most, sent)
		}
		for _, s := range append(stalled, other) {
			switch s.id % 6 {
			case 1:
				p.out = p.conn.AppendReset(p.out, s, Cancel)
			case 3: // the caller takes what is left when the client has finished
				p.framer.WriteData(s.id, true, nil)
				p.next()
				p.out = p.conn.Credit(p.out, s, int(s.held))
			}
			if s.id%6 != 5 && s.granted != testSettings.StreamWindow {
				t.Errorf("stream %d keeps a window of %d bytes", s.id, s.granted)
			}
			p.out = p.conn.Release(p.out, s)
		}
		if p.conn.window.grown != 0 {
			t.Errorf("round %d: %d bytes of growth are lost", round, p.conn.window.grown)
		}
	}
	if held := testSettings.ConnWindow - p.conn.window.left - p.conn.window.owed; held != 0 {
		t.Errorf("%d bytes of credit are lost", held)
	}
}

// Before a client has acknowledged our SETTINGS it may use the windows of the protocol.
func TestEarlyWindow(t *testing.T) {
	t.Parallel()
	p := rawPeer(t)
	p.in.WriteString(Preface)
	p.framer.WriteSettings()
	p.none()
	e := p.open(1, false, post...)
	for range 3 {
		p.framer.WriteData(1, false, zeros(MaxFrameSize))
		if e := p.next(); e.Kind != EventData {
			t.Fatalf("event %d, %v", e.Kind, e.Reason)
		}
	}
	p.framer.WriteSettingsAck()
	p.none()
	if got := e.Stream.recvWindow; got != 16384-3*MaxFrameSize {
		t.Errorf("the window is %d", got)
	}
}

// What we send stays within the client's windows, changed initial ones among them, and a
// body is what its Content-Length says or is cut.
func TestSend(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	p.none()
	s := p.open(1, true, get...).Stream
	p.out = p.conn.AppendResponse(nil, s, []byte("HTTP/1.1 200 OK\r\n\r\n"), false)
	body := zeros(100_000)
	p.out, body = p.data(s, body, 10)
	p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 30})
	if e := p.next(); e.Kind != EventWindow || e.Stream != nil {
		t.Errorf("event %d", e.Kind)
	}
	p.out, body = p.data(s, body, 20)
	p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	p.none()
	p.framer.WriteWindowUpdate(1, 40)
	if e := p.next(); e.Kind != EventWindow || e.Stream != s || s.Window() != 10 {
		t.Errorf("event %d, window %d, want 10: it was -30", e.Kind, s.Window())
	}
	p.framer.WriteWindowUpdate(1, 1<<20)
	p.next()
	p.out, body = p.data(s, body, defaultWindow-30) // the connection's
	p.framer.WriteWindowUpdate(0, 1<<20)
	if e := p.next(); e.Kind != EventWindow || e.Stream != nil {
		t.Errorf("event %d", e.Kind)
	}
	p.out, _ = p.data(s, body, len(body))
	if !s.Closed() {
		t.Error("the stream has not ended")
	}
	for _, c := range []struct {
		length, body int
		end, ok      bool
	}{{5, 5, true, true}, {5, 4, true, false}, {5, 6, false, false}, {5, 4, false, true}, {0, 0, true, true}} {
		p := newPeer(t)
		s := p.open(1, true, get...).Stream
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", c.length)
		p.out = p.conn.AppendResponse(nil, s, []byte(head), false)
		p.out, _ = p.conn.AppendData(p.out, s, zeros(c.body), c.end)
		if reset := bytes.Contains(p.out, appendReset(nil, 1, InternalError)); reset == c.ok {
			t.Errorf("%+v: reset %v", c, reset)
		}
	}
}

// data sends a body's next bytes, and expects that so many go.
func (p *peer) data(s *Stream, body []byte, want int) (out, rest []byte) {
	p.t.Helper()
	out, n := p.conn.AppendData(nil, s, body, true)
	if n != want {
		p.t.Fatalf("%d bytes are sent, want %d", n, want)
	}
	return out, body[n:]
}

// Content-Length holds for what a client sends, too.
func TestRequestLength(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		data    []int
		trailer bool
		ok      bool
	}{{[]int{5}, false, true}, {[]int{2, 3}, false, true}, {[]int{4}, false, false}, {[]int{6}, false, false}, {[]int{5, 0}, false, true}, {[]int{5, 1}, false, false}, {[]int{5}, true, true}, {[]int{4}, true, false}, {nil, true, false}} {
		p := newPeer(t)
		p.open(1, false, append(append([]string{}, post...), "content-length", "5")...)
		for i, n := range c.data {
			p.framer.WriteData(1, i == len(c.data)-1 && !c.trailer, zeros(n))
		}
		if c.trailer {
			p.headers(1, true, "x-a", "b")
		}
		var last Event
		for e := p.next(); e.Kind != EventNone; e = p.next() {
			last = e
		}
		if last.End != c.ok || c.ok == (last.Reason == ReasonLengthMismatch) {
			t.Errorf("%+v: event %d, %v", c, last.Kind, last.Reason)
		}
	}
}

// A stream counts until its exchange is over: a client that resets it, or makes us do so,
// has no other one meanwhile.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	var streams []*Stream
	for i := range uint32(testSettings.MaxStreams) {
		streams = append(streams, p.open(1+2*i, true, get...).Stream)
		if i%2 == 0 {
			p.framer.WriteRSTStream(1+2*i, http2.ErrCodeCancel)
		} else {
			p.in.Write(increment(1+2*i, 0))
		}
		if e := p.next(); e.Kind != EventReset || !e.Stream.Closed() {
			t.Fatalf("event %d", e.Kind)
		}
	}
	p.headers(1001, true, get...)
	if e := p.next(); e.Kind != EventRefused || e.Code != RefusedStream || e.ID != 1001 {
		t.Fatalf("event %d, %v", e.Kind, e.Code)
	}
	p.out = p.conn.Release(p.out, streams[50])
	p.open(1003, true, get...)
}

// After GOAWAY the open streams go on, and new ones are refused such that clients repeat them.
func TestGoAway(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	s := p.open(1, true, get...).Stream
	p.out = p.conn.AppendGoAway(nil, NoError, "")
	if want := appendGoAway(nil, 1, NoError, ""); !bytes.Equal(p.out, want) {
		t.Errorf("sent %x, want %x", p.out, want)
	}
	p.headers(3, true, get...)
	if e := p.next(); e.Kind != EventRefused || e.Code != RefusedStream {
		t.Errorf("event %d, %v", e.Kind, e.Code)
	}
	if p.out = p.conn.AppendResponse(nil, s, []byte("HTTP/1.1 204 No Content\r\n\r\n"), true); len(p.out) == 0 || !s.Closed() {
		t.Error("the open stream is not answered")
	}
}
