package http2

// score adds up what a client costs without a purpose, and subtracts what it does
// that is useful. One that reaches the limit is disconnected (ENHANCE_YOUR_CALM).
//
//	costs                                            points
//	a stream that is reset, by the client, or by     4
//	us for the client's fault (MadeYouReset), one
//	refused, and a malformed request
//	a head that is too large                         16
//	SETTINGS, PING                                   4, and 1 for each 8 settings
//	SETTINGS_INITIAL_WINDOW_SIZE                     1 for each 8 streams
//	PRIORITY, WINDOW_UPDATE, an unknown frame,       1
//	a frame on a stream that has ended
//	DATA or CONTINUATION without a byte              1
//
//	gains
//	a request                                        1
//	a stream that ended well                         4
//	a frame of DATA sent                             2
//	2 KB of DATA, sent or received                   1
//	a second                                         64
//
// Gains are kept up to bankLimit, time alone does not gain below zero. So 3 x 100
// streams may be cancelled at once, and each frame of DATA may be answered with two
// WINDOW_UPDATEs.
type score struct {
	points int32
	bytes  int32 // of DATA, that have not gained yet
	since  int64 // when time was counted last
}

const (
	scoreLimit = 2000
	bankLimit  = -2000

	costReset    = 4
	costHeadSize = 16
	costReply    = 4 // of a frame that is acknowledged
	costFrame    = 1

	gainRequest   = 1
	gainComplete  = 4
	gainDataFrame = 2
	gainBytes     = 2048 // for one point
	gainSecond    = 64
)

// cost adds points.
func (s *score) cost(points int32) { s.points += points }

// gain subtracts points.
func (s *score) gain(points int32) { s.points = max(s.points-points, bankLimit) }

// data counts bytes of DATA, sent or received.
func (s *score) data(n int) {
	s.bytes += int32(n)
	if s.bytes >= gainBytes {
		s.gain(s.bytes / gainBytes)
		s.bytes %= gainBytes
	}
}

// over reports whether the limit is reached at a time on the caller's clock, in
// nanoseconds.
func (s *score) over(now int64) bool {
	if s.points < scoreLimit {
		if s.points <= 0 {
			s.since = now
		}
		return false
	}
	return s.decay(now) >= scoreLimit
}

// decay subtracts what time gains since it was counted last.
func (s *score) decay(now int64) int32 {
	const second = 1e9
	passed := min(max(now-s.since, 0), 3600*second)
	gained := int32(passed * gainSecond / second)
	if gained > 0 {
		s.since = now
		s.points = max(s.points-gained, min(s.points, 0))
	}
	return s.points
}
