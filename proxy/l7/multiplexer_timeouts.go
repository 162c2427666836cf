package l7

import (
	"time"

	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// failureLinger is how long a client that has made an error is given to read GOAWAY: one that
// floods continues to send as long as it is read.
const failureLinger = time.Second

// arm sets the timer for the first deadline, unless it runs out earlier anyway.
func (m *multiplexer) arm() {
	deadline := m.deadline()
	if deadline == 0 || m.State == muxFinished || m.Timer.Armed() && m.Timer.When() <= deadline {
		return
	}
	m.loop().Arm(&m.Timer, m, deadline)
}

// deadline is when the connection ends unless something happens; 0 = never. Streams have
// their own: see client.limit.
//
//	while                                        limit                  since
//	preface, SETTINGS, a head or another frame   timeout_http_request   its first byte
//	is incomplete
//	the client takes nothing that it is sent     timeout_client         it took something
//	no stream has been opened yet                timeout_http_request   the connection began
//	no stream is open                            timeout_keepalive      the last one ended
//	closing                                      lingerTime             FIN was sent
//	closing for an error of the client's         failureLinger          GOAWAY, then FIN was sent
//
// And it is when requests have waited enough for the connection to move.
func (m *multiplexer) deadline() (at int64) {
	f := &m.settings().Frontend
	limit := func(since, limit int64) {
		if since != 0 && limit > 0 {
			at = earlier(at, since+limit)
		}
	}
	limit(m.Stuck, int64(f.TimeoutClient))
	switch {
	case m.State == muxClosing && m.failed:
		return earlier(at, m.Since+int64(failureLinger))
	case m.State == muxClosing:
		if m.Stuck == 0 {
			limit(m.Since, int64(lingerTime))
		}
		return at
	case m.State == muxFinished:
		return 0
	}
	at = earlier(at, m.gather.until)
	limit(m.Partial, int64(f.TimeoutHTTPRequest))
	if len(m.http2.Streams()) == 0 {
		if m.Requests == 0 && f.TimeoutHTTPRequest > 0 {
			limit(m.Since, int64(f.TimeoutHTTPRequest))
		} else {
			limit(m.Since, int64(f.TimeoutKeepalive))
		}
	}
	return at
}

// Expired implements reactor.Expirer. The timer may have been set for something that is
// over.
func (m *multiplexer) Expired(*reactor.Timer) {
	deadline, now := m.deadline(), m.loop().Now()
	if deadline == 0 || now < deadline {
		m.arm()
		return
	}
	f := &m.settings().Frontend
	switch {
	case m.serves() && m.gather.until != 0 && now >= m.gather.until:
		muxMover{m}.gathered()
		m.arm()
	case m.State == muxClosing:
		m.finish(session.ServerClosed)
	case m.Stuck != 0 && now >= m.Stuck+int64(f.TimeoutClient):
		m.Abort(session.IdleTimeout)
	case m.Partial != 0 && f.TimeoutHTTPRequest > 0 && now >= m.Partial+int64(f.TimeoutHTTPRequest):
		m.endNow(session.RequestTimeout)
	default:
		m.endNow(session.IdleTimeout)
	}
}

// endNow ends the connection with GOAWAY, and whatever streams there are.
func (m *multiplexer) endNow(reason session.Reason) {
	m.running = true
	m.cutStreams(reason)
	m.goAway()
	m.running = false
	m.close()
}
