package l7

import (
	"time"

	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
)

// Keepalive inserts comments into an event stream that is idle, so that what is on
// the way to the client does not forget the connection. It is a part of the stream's
// bodyEncoder, and moves to a new process with it. The zero value inserts none.
//
// A comment counts as activity for timeout_client, since the client does get
// something, but not for the limits of the server: a stream whose server has died
// without a word ends as it would without comments.
type Keepalive struct {
	Every time.Duration // as the settings said when the stream began; 0 = no comments
	Sent  int64         // when the last comment was sent, on the loops' clock; 0 = none was
	Tried int64         // when one was due last, sent or not
	Gaps  mcp.EventGaps // of the stream as the client gets it
}

// takesComments reports whether comments may be inserted into the answer whose head
// is parsed, and whose body takes the form given: an event stream whose end is not known
// in advance, not encoded, and whose bytes no digest and no signature covers.
func (x download) takesComments(head *http1.ResponseHead, f form) bool {
	return x.has(streaming) && head.Status < 300 && head.Framing != http1.FramingLength &&
		(f.decoded || codingOf(head) == mcp.CodingNone) && !head.DescribesBytes()
}

// keepAlive begins to keep the stream alive that the answer is, if it is one.
func (x download) keepAlive(every time.Duration) {
	if x.encoder == nil {
		x.encoder = x.client.worker.encoders.plain()
	}
	x.encoder.keepalive = Keepalive{Every: every, Tried: x.loop().Now()}
}

// comment inserts a comment, if the stream is between two events and the client
// takes what it is sent.
func (x download) comment() {
	c, r := x.client, x.encoder
	r.keepalive.Tried = x.loop().Now()
	if r.keepalive.Gaps.Between() && !x.Response.Done && !x.Response.inTrailers() && c.down().Parked() == 0 {
		r.keepalive.Sent = r.keepalive.Tried
		out := r.comment(c.worker, c.worker.out[:0])
		c.worker.out = out[:0]
		if !c.send(out) {
			return
		}
	}
	c.arm()
}
