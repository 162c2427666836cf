package http2

// mostPoints is more than a connection can have: see score.over.
const mostPoints = 1 << 24

// Valid reports whether the state is one that a connection can be in, one that has failed
// aside: what continues from it stays within the bounds that Next and the others rely on. The
// process that it comes from may be faulty.
func (s *ConnState) Valid() bool {
	return s.State < uint8(connFailed) && s.LastStream <= maxStreamID && s.PeerTableSize <= tableLimit &&
		s.PeerWindow >= 0 && s.SendWindow >= -maxWindow && s.RecvWindow >= 0 && s.Owed >= 0 &&
		s.Points >= bankLimit && s.Points < mostPoints && s.Bytes >= 0 && s.Bytes < gainBytes &&
		s.Settings.valid() && s.Table.valid() && s.validParts() && s.validStreams() && s.validEnded()
}

// valid reports whether a server may have sent the settings.
func (s *Settings) valid() bool {
	return s.StreamWindow > 0 && s.MaxStreamWindow > 0 && s.ConnWindow >= 0 && s.MaxHead >= 0
}

// valid reports whether the fields fit into the table.
func (t *TableState) valid() bool {
	if t.Max < 0 || t.Max > tableLimit || !t.Resized && len(t.Fields) > 0 {
		return false
	}
	size := 0
	for _, f := range t.Fields {
		size += len(f.Name) + len(f.Value) + entryOverhead
	}
	return size <= t.Max || len(t.Fields) == 0
}

// validParts judges the frame and the block of which a part has come.
func (s *ConnState) validParts() bool {
	d, b := &s.Data, &s.Block
	if s.State == uint8(connData) && (d.Left < 0 || d.Left > MaxFrameSize || d.Padding < 0 || d.Padding > 255 || d.Left+d.Padding == 0) {
		return false
	}
	return s.State != uint8(connBlock) && b.ID == 0 && len(b.Bytes) == 0 ||
		s.State == uint8(connBlock) && b.ID%2 == 1 && b.ID <= maxStreamID && b.Frames <= mostContinuations && len(b.Bytes) <= mostBlock
}

// validStreams judges the streams: odd numbers that rise, and no more than were allowed.
func (s *ConnState) validStreams() bool {
	if uint64(len(s.Streams)) > uint64(s.Settings.MaxStreams) {
		return false
	}
	last, window, grown := uint32(0), int64(s.RecvWindow)+int64(s.Owed), int64(0)
	for i := range s.Streams {
		one := &s.Streams[i]
		if one.ID <= last || one.ID%2 == 0 || one.ID > s.LastStream || !one.valid(&s.Settings) {
			return false
		}
		last = one.ID
		window += int64(one.Held)
		grown += int64(max(one.Granted-s.Settings.StreamWindow, 0))
	}
	most := int64(s.Settings.connWindow())
	return window <= most && grown <= most/2
}

// valid judges one stream. The client's window may be below zero while our SETTINGS, which
// make it smaller, are on their way, and larger than it should be.
func (s *StreamState) valid(granted *Settings) bool {
	most := max(granted.StreamWindow, granted.MaxStreamWindow)
	return s.State <= uint8(streamClosed) && s.SendWindow >= -maxWindow && s.RecvWindow >= -defaultWindow &&
		s.Granted > 0 && s.Granted <= most && s.Held >= 0 && s.Owed >= 0 && s.SendLeft >= -1 && s.RecvLeft >= -1 &&
		int64(s.RecvWindow)+int64(s.Held)+int64(s.Owed) <= int64(most)+defaultWindow
}

// validEnded judges what is remembered of streams that have ended.
func (s *ConnState) validEnded() bool {
	if len(s.EndedIDs) != len(s.EndedHow) || len(s.EndedIDs) > rememberedStreams {
		return false
	}
	for i, id := range s.EndedIDs {
		if id > maxStreamID || s.EndedHow[i] > uint8(closedByUs) {
			return false
		}
	}
	return true
}
