package http2

// ConnState is what another process needs to continue a connection between two calls of
// Next, streams included. What the encoder's table holds is not part of it: the next block
// empties the client's.
type ConnState struct {
	Settings               Settings
	State                  uint8
	Acknowledged, Leaving  bool
	LastStream             uint32
	PeerWindow             int32
	PeerTableSize          uint32
	SendWindow, RecvWindow int32
	Owed                   int32
	Points, Bytes          int32
	Counted                int64 // when time was counted last for the points, on the caller's clock
	Table                  TableState
	Data                   DataState
	Block                  BlockState
	Streams                []StreamState
	EndedIDs               []uint32
	EndedHow               []uint8
	Forgotten              bool
}

// TableState is the decoder's table.
type TableState struct {
	Resized bool
	Max     int
	Fields  []Field // the oldest first
}

// DataState is the DATA of which a part has come.
type DataState struct {
	ID                 uint32
	Left, Padding      int32
	EndStream, Discard bool
}

// BlockState is the header block of which a part has come.
type BlockState struct {
	ID, DependsOn uint32
	Flags, Frames uint8
	Bytes         []byte
}

// StreamState is one stream.
type StreamState struct {
	ID                                                 uint32
	State                                              uint8
	Early                                              bool
	SendWindow, RecvWindow, Granted, Held, Owed, Taken int32
	SendLeft, RecvLeft                                 int64
}

// State returns what Restore needs, in memory that the connection does not share.
func (c *Conn) State() ConnState {
	s := ConnState{
		Settings: *c.settings, Counted: c.score.since, State: uint8(c.state), Acknowledged: c.acknowledged, Leaving: c.leaving, LastStream: c.lastStream,
		PeerWindow: c.peerWindow, PeerTableSize: c.encoder.tableSize, SendWindow: c.sendWindow, RecvWindow: c.window.left,
		Owed: c.window.owed, Points: c.score.points, Bytes: c.score.bytes, Forgotten: c.ended.forgotten,
		Table: TableState{Resized: c.decoder.resized, Max: c.decoder.table.max},
		Data:  DataState{c.data.id, c.data.left, c.data.padding, c.data.endStream, c.data.discard},
	}
	if c.state == connBlock {
		s.Block = BlockState{c.block.id, c.block.dependsOn, c.block.flags, c.block.frames, append([]byte(nil), c.block.bytes...)}
	}
	for i := len(c.decoder.table.entries) - 1; i >= 0; i-- {
		name, value := c.decoder.table.at(i)
		s.Table.Fields = append(s.Table.Fields, Field{append([]byte(nil), name...), append([]byte(nil), value...)})
	}
	for _, one := range c.streams {
		s.Streams = append(s.Streams, StreamState{
			one.id, uint8(one.state), one.early, one.sendWindow, one.recvWindow, one.granted, one.held, one.owed, one.taken,
			one.sendLeft, one.recvLeft,
		})
	}
	s.EndedIDs, s.EndedHow = c.ended.state()
	return s
}

// Restore continues a connection that has this State, which must be Valid, with the settings
// that it was started with: settings, if those are the same, so that connections share them.
func (c *Conn) Restore(shared *Shared, settings *Settings, s *ConnState) {
	if *settings != s.Settings {
		own := s.Settings
		settings = &own
	}
	*c = Conn{
		shared: shared, settings: settings,
		state: connState(s.State), acknowledged: s.Acknowledged, leaving: s.Leaving, lastStream: s.LastStream,
		peerWindow: s.PeerWindow, sendWindow: s.SendWindow,
		encoder: encoder{tableSize: s.PeerTableSize, used: true},
		window:  receiveWindow{settings: settings, left: s.RecvWindow, owed: s.Owed},
		ended:   endedStreams{forgotten: s.Forgotten},
		score:   score{points: s.Points, bytes: s.Bytes, since: s.Counted},
		data:    dataFrame{s.Data.ID, s.Data.Left, s.Data.Padding, s.Data.EndStream, s.Data.Discard},
		block:   headerBlock{s.Block.ID, s.Block.Flags, s.Block.Frames, s.Block.DependsOn, s.Block.Bytes},
	}
	c.decoder.resized, c.decoder.table.max = s.Table.Resized, s.Table.Max
	for _, f := range s.Table.Fields {
		c.decoder.table.add(f.Name, f.Value)
	}
	for i := range s.Streams {
		c.restoreStream(&s.Streams[i])
	}
	for i := range min(len(s.EndedIDs), len(s.EndedHow)) {
		c.ended.add(s.EndedIDs[i], closure(s.EndedHow[i]))
	}
}

// restoreStream adds a stream. Streams finds it for the caller.
func (c *Conn) restoreStream(s *StreamState) {
	one := c.shared.newStream()
	one.id, one.state, one.early = s.ID, streamState(s.State), s.Early
	one.sendWindow, one.recvWindow, one.granted = s.SendWindow, s.RecvWindow, s.Granted
	one.held, one.owed, one.taken = s.Held, s.Owed, s.Taken
	one.sendLeft, one.recvLeft = s.SendLeft, s.RecvLeft
	c.window.grown += max(one.granted-c.settings.StreamWindow, 0)
	c.streams = append(c.streams, one)
}
