package http2

import (
	"bytes"
	"encoding/gob"
	"math"
	"math/rand/v2"
	"testing"
)

// stateOf returns the state of a connection in the midst of a block, with streams.
func stateOf(t testing.TB) *ConnState {
	p := newPeer(t)
	p.open(1, false, post...)
	p.open(3, false, append(append([]string{}, get...), "x-a", "b")...)
	p.framer.WriteRSTStream(3, 8)
	p.in.Write(frame(FrameHeaders, 0, 5, 0x82))
	p.next()
	p.next()
	state := p.conn.State()
	if !state.Valid() || state.State != uint8(connBlock) || len(state.Table.Fields) == 0 || len(state.EndedIDs) != 1 {
		t.Fatalf("%+v", state)
	}
	return &state
}

// What no connection can be is refused before anything goes on from it.
func TestInvalidStates(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*ConnState){
		"failed":                      func(s *ConnState) { s.State = uint8(connFailed) },
		"an unknown state":            func(s *ConnState) { s.State = 99 },
		"a stream beyond all":         func(s *ConnState) { s.LastStream = math.MaxUint32 },
		"a large table":               func(s *ConnState) { s.Table.Max = 1 << 20 },
		"a negative table":            func(s *ConnState) { s.Table.Max = -1 },
		"a table with too much in it": func(s *ConnState) { s.Table.Fields[0].Value = zeros(tableLimit) },
		"a table that is not sized":   func(s *ConnState) { s.Table.Resized = false },
		"the encoder's table":         func(s *ConnState) { s.PeerTableSize = tableLimit + 1 },
		"credit without end":          func(s *ConnState) { s.Owed = math.MaxInt32 },
		"a negative window":           func(s *ConnState) { s.RecvWindow = -1 },
		"points":                      func(s *ConnState) { s.Points = math.MaxInt32 },
		"settings of nobody":          func(s *ConnState) { s.Settings.StreamWindow = 0 },
		"too many streams":            func(s *ConnState) { s.Settings.MaxStreams = 0 },
		"a stream twice":              func(s *ConnState) { s.Streams = append(s.Streams, s.Streams[0]) },
		"a stream of the server's":    func(s *ConnState) { s.Streams[0].ID = 2 },
		"a stream to come":            func(s *ConnState) { s.Streams[0].ID = s.LastStream + 2 },
		"a stream's state":            func(s *ConnState) { s.Streams[0].State = 9 },
		"a stream that holds less":    func(s *ConnState) { s.Streams[0].Held = -1 },
		"a stream's window":           func(s *ConnState) { s.Streams[0].RecvWindow = math.MaxInt32 },
		"a block of a stream of ours": func(s *ConnState) { s.Block.ID = 4 },
		"a large block":               func(s *ConnState) { s.Block.Bytes = zeros(mostBlock + 1) },
		"a block of nobody":           func(s *ConnState) { s.State = uint8(connReady) },
		"more data than a frame has":  func(s *ConnState) { s.State, s.Block, s.Data.Left = uint8(connData), BlockState{}, 1<<20 },
		"data of no bytes":            func(s *ConnState) { s.State, s.Block = uint8(connData), BlockState{} },
		"memories that do not fit":    func(s *ConnState) { s.EndedHow = nil },
		"too many memories":           func(s *ConnState) { s.EndedIDs, s.EndedHow = make([]uint32, 9), make([]uint8, 9) },
		"an unknown memory":           func(s *ConnState) { s.EndedHow[0] = 9 },
	} {
		state := stateOf(t)
		if spoil(state); state.Valid() {
			t.Errorf("%s: %+v", name, state)
		}
	}
}

// The settings of a connection last as long as it does, whatever the process that goes on
// with it grants others.
func TestSettingsMove(t *testing.T) {
	t.Parallel()
	state, others := stateOf(t), testSettings
	others.MaxStreams, others.MaxHead = 1, 1
	var c Conn
	c.Restore(new(Shared), &others, state)
	if *c.settings != testSettings {
		t.Errorf("%+v", *c.settings)
	}
	c.Restore(new(Shared), &testSettings, state)
	if c.settings != &testSettings {
		t.Error("settings that are alike are not shared")
	}
}

// FuzzRestore continues a connection from anything: it is refused, or stands whatever the
// client sends.
func FuzzRestore(f *testing.F) {
	var payload bytes.Buffer
	if err := gob.NewEncoder(&payload).Encode(stateOf(f)); err != nil {
		f.Fatal(err)
	}
	sent := conversation(f, rand.New(rand.NewPCG(1, 1)))[len(Preface):]
	f.Add(payload.Bytes(), sent)
	for i := 400; i < payload.Len(); i += 7 {
		spoiled := bytes.Clone(payload.Bytes())
		spoiled[i] ^= 0x55
		f.Add(spoiled, sent)
	}
	f.Fuzz(func(t *testing.T, payload, sent []byte) {
		var state ConnState
		if gob.NewDecoder(bytes.NewReader(payload)).Decode(&state) != nil || !state.Valid() {
			return
		}
		r := newTrace()
		r.conn.Restore(r.shared, &testSettings, &state)
		r.feed(sent, func(n int) int { return n }, r.move)
	})
}
