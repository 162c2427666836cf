package http2

// receiveWindow is what a client may send on all streams together, and how far the windows
// of single streams have grown at its cost.
type receiveWindow struct {
	settings *Settings
	left     int32 // what the client may send
	owed     int32 // credit that it does not have yet
	grown    int32 // how much larger the streams' windows are than Settings.StreamWindow
}

func newReceiveWindow(settings *Settings) receiveWindow {
	return receiveWindow{settings: settings, left: settings.connWindow()}
}

// grow doubles a stream's window, or grows it as far as it may.
func (w *receiveWindow) grow(s *Stream) {
	more := min(s.granted, w.settings.MaxStreamWindow-s.granted, w.settings.connWindow()/2-w.grown)
	if more > 0 {
		s.granted += more
		s.owed += more
		w.grown += more
	}
	s.taken = 0
}

// shrink leaves a window's growth to others once the client has sent everything and the
// caller has taken it.
func (w *receiveWindow) shrink(s *Stream) {
	if s.RequestDone() && s.held == 0 {
		w.grown -= max(s.granted-w.settings.StreamWindow, 0)
		s.granted = min(s.granted, w.settings.StreamWindow)
	}
}

// appendCredit sends the credit once it is half a window, or more than what the client has
// left: stalled streams may hold the rest for long.
func (w *receiveWindow) appendCredit(dst []byte) []byte {
	half := w.settings.connWindow() / 2
	if w.owed == 0 || w.owed < half && w.owed < w.left {
		return dst
	}
	w.left += w.owed
	dst = appendWindowUpdate(dst, 0, w.owed)
	w.owed = 0
	return dst
}

// appendCredit sends a stream's credit once it is half a window.
func (s *Stream) appendCredit(dst []byte) []byte {
	if s.RequestDone() || s.owed == 0 || s.owed < s.granted/2 {
		return dst
	}
	s.recvWindow += s.owed
	dst = appendWindowUpdate(dst, s.id, s.owed)
	s.owed = 0
	return dst
}

// Credit gives back n bytes of a stream's body that the caller no longer holds, so that the
// client may send as many more, and appends WINDOW_UPDATE where that is due. A window whose
// bytes were all taken grows, up to Settings.MaxStreamWindow, as long as growth has left half of
// the connection's window: uploads may stall when they have grown, and must not block others.
func (c *Conn) Credit(dst []byte, s *Stream, n int) []byte {
	taken := min(int32(n), s.held) // of a stream that has ended, all is back already
	s.held -= taken
	c.window.owed += taken
	s.owed += taken
	s.taken += taken
	if s.taken >= s.granted && !s.RequestDone() {
		c.window.grow(s)
	}
	c.window.shrink(s)
	return c.appendCredit(s.appendCredit(dst))
}

// appendCredit sends the connection's credit where that is due.
func (c *Conn) appendCredit(dst []byte) []byte {
	if c.state == connFailed {
		return dst
	}
	return c.window.appendCredit(dst)
}
