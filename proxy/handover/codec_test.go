package handover

import (
	"bytes"
	"encoding"
	"encoding/gob"
	"reflect"
	"runtime"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/admin"
	"mcplb/proxy/http2"
	"mcplb/proxy/l4"
	"mcplb/proxy/l7"
	"mcplb/proxy/mcp"
	"mcplb/proxy/session"
	"mcplb/proxy/tlsio"
	"mcplb/ratelimit"
)

// Payloads decode to what was encoded, in any mixture of kinds, and types are
// described once.
func TestCodec(t *testing.T) {
	t.Parallel()
	var e encoder
	var d decoder
	sizes := map[string][]int{}
	for range 3 {
		for name, v := range map[string]any{"state": someState(t), "batch": someBatch(), "report": someReport()} {
			payload, err := e.encode(v)
			if err != nil {
				t.Fatal(err)
			}
			sizes[name] = append(sizes[name], len(payload))
			got := reflect.New(reflect.TypeOf(v).Elem())
			if err := d.decode(payload, got.Interface()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !reflect.DeepEqual(v, got.Interface()) {
				t.Errorf("%s: %+v has become %+v", name, v, got.Interface())
			}
		}
	}
	for name, all := range sizes {
		if all[1] >= all[0] || all[2] != all[1] {
			t.Errorf("payloads of a %s have %v bytes: types must be described once", name, all)
		}
	}
}

// After a malformed payload no other is decoded: it could be misread.
func TestDecoderGivesUp(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func([]byte) []byte{
		"cut":      func(p []byte) []byte { return p[:len(p)-1] },
		"too long": func(p []byte) []byte { return append(p, 1) },
		"empty":    func([]byte) []byte { return nil },
		"two":      func(p []byte) []byte { return append(p, p...) },
	} {
		var e encoder
		var d decoder
		var records []Record
		for i, want := range []bool{true, false, false} {
			payload, err := e.encode(someBatch())
			if err != nil {
				t.Fatal(err)
			}
			if i == 1 {
				payload = spoil(payload)
			}
			if err := d.decode(payload, &records); (err == nil) != want {
				t.Errorf("%s: payload %d: %v", name, i, err)
			}
		}
	}
}

// After an error nothing else is encoded: the other side would lack the types.
func TestEncoderGivesUp(t *testing.T) {
	t.Parallel()
	var e encoder
	if _, err := e.encode(make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
	if _, err := e.encode(someBatch()); err == nil {
		t.Error("encoded after an error")
	}
}

// gob allocates a map for as many elements as a payload claims, so that payloads
// must not have any.
func TestPayloadsHaveNoMaps(t *testing.T) {
	t.Parallel()
	seen := map[reflect.Type]bool{}
	for _, v := range []any{State{}, []Record{}, report{}} {
		checkNoMaps(t, reflect.TypeOf(v), reflect.TypeOf(v).String(), seen)
	}
}

var marshalers = []reflect.Type{reflect.TypeFor[gob.GobEncoder](), reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.TextMarshaler]()}

func checkNoMaps(t *testing.T, in reflect.Type, path string, seen map[reflect.Type]bool) {
	if seen[in] {
		return
	}
	seen[in] = true
	for _, m := range marshalers {
		if in.Implements(m) || reflect.PointerTo(in).Implements(m) {
			return
		}
	}
	switch in.Kind() {
	case reflect.Map:
		t.Errorf("%s is a map", path)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		checkNoMaps(t, in.Elem(), path+"[]", seen)
	case reflect.Struct:
		for i := range in.NumField() {
			if f := in.Field(i); f.IsExported() {
				checkNoMaps(t, f.Type, path+"."+f.Name, seen)
			}
		}
	}
}

// Whatever a state is, it is restored or refused, at a cost in proportion to its
// size.
func FuzzState(f *testing.F) {
	state := someState(f)
	addPayloads(f, state)
	to := newFixture(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		var restored State
		checkDecode(t, payload, &restored)
		if len(restored.Held.Slots)+len(restored.Held.Sources) > 0 && restored.Held.check() == nil && held(&restored.Held) > 1000 {
			return // true to its size, but slow
		}
		n := &New{Balancer: to}
		if err := n.Restore(payload); err == nil {
			n.Alone()
		}
	})
}

// Whatever a report is, it is applied or refused.
func FuzzReport(f *testing.F) {
	addPayloads(f, someReport())
	to := newFixture(f)
	state, err := new(encoder).encode(someState(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var r report
		checkDecode(t, payload, &r)
		if r.Held.check() == nil && held(&r.Held) > 1000 {
			return
		}
		n := &New{Balancer: to}
		if err := n.Restore(state); err != nil {
			t.Fatal(err)
		}
		n.decoder = decoder{}    // the payload describes its types itself
		_, _ = n.Update(payload) // the error is as good as the payload
		n.Alone()
	})
}

// Records whose parts do not fit together are refused, and those that do are not.
func TestRecordsOfHTTP2(t *testing.T) {
	t.Parallel()
	frontend, workers := Frontend{Stream: new(l4.Frontend), HTTP: new(l7.Frontend)}, tlsio.NewWorkers(nil, 1)
	for name, spoil := range map[string]func(*Record){
		"":                        func(*Record) {},
		"a stream without record": func(r *Record) { r.Streams = r.Streams[:1] },
		"streams alone":           func(r *Record) { r.HTTP2 = nil },
		"two layers":              func(r *Record) { r.HTTP = &l7.Handover{} },
		"two sockets":             func(r *Record) { r.Two = true },
		"a slot of its own":       func(r *Record) { r.Slot.Server = 1 },
		"a server without slot":   func(r *Record) { r.Streams[0].Slot = SlotKey{} },
		"a server that is not":    func(r *Record) { r.Streams[1].HasServer = true },
		"a slot without server":   func(r *Record) { r.Streams[1].Slot.Server = 1 },
		"no socket":               func(r *Record) { r.Streams[0].HasServer = false },
		"TLS of nothing":          func(r *Record) { r.Streams[0].ServerTLS = &tlsio.State{Suite: 1} },
		"the protocol's state":    func(r *Record) { r.HTTP2.HTTP2.RecvWindow = -1 },
	} {
		all := *someBatch()
		r := all[len(all)-1]
		spoil(&r)
		a := arriving{Record: r}
		if err := a.attach(frontend, make([]int, r.descriptors()), workers); (err == nil) != (name == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever a batch is, its records are usable or refused.
func FuzzBatch(f *testing.F) {
	addPayloads(f, someBatch())
	frontend, workers := Frontend{Stream: new(l4.Frontend), HTTP: new(l7.Frontend)}, tlsio.NewWorkers(nil, 1)
	f.Fuzz(func(t *testing.T, payload []byte) {
		var records []Record
		checkDecode(t, payload, &records)
		for _, r := range records {
			a := arriving{Record: r}
			if err := a.attach(frontend, make([]int, r.descriptors()), workers); err == nil && (a.Stream == nil) == (a.HTTP == nil && a.HTTP2 == nil) {
				t.Errorf("a record of two layers, or none, is accepted: %+v", r)
			} else if err == nil && a.HTTP2 != nil && len(a.detached.Streams) != len(a.HTTP2.Streams) {
				t.Errorf("%d of the streams of %+v have what they need", len(a.detached.Streams), r)
			}
		}
	})
}

// held is how many slots and connections are claimed.
func held(h *Holdings) (n int) {
	for _, s := range h.Slots {
		n += s.Count
	}
	for _, s := range h.Sources {
		n += s.Count
	}
	return n
}

// addPayloads adds a value's payload to the corpus, intact and spoiled.
func addPayloads(f *testing.F, v any) {
	payload, err := new(encoder).encode(v)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add(payload[:len(payload)/2])
	for i := 3; i < len(payload); i += len(payload) / 16 {
		spoiled := bytes.Clone(payload)
		spoiled[i] ^= 0xff
		f.Add(spoiled)
	}
}

// checkDecode decodes a payload, and checks that it takes no memory out of
// proportion.
func checkDecode(t *testing.T, payload []byte, v any) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_ = new(decoder).decode(payload, v) // the error is as good as the payload
	runtime.ReadMemStats(&after)
	if took, most := after.TotalAlloc-before.TotalAlloc, uint64(64<<20+1000*len(payload)); took > most {
		t.Errorf("%d bytes of payload took %d bytes of memory", len(payload), took)
	}
}

func someState(t testing.TB) *State {
	from := newFixture(t)
	from.open(3)
	old := &Old{Balancer: from}
	old.Suspend()
	payload, err := old.State()
	if err != nil {
		t.Fatal(err)
	}
	var state State
	if err := new(decoder).decode(payload, &state); err != nil {
		t.Fatal(err)
	}
	return &state
}

func someReport() *report {
	return &report{
		Held: Holdings{
			Clients: 3, Slots: []SlotCount{{SlotKey{1, 0}, 2}, {SlotKey{1, spareEntry}, 1}}, Sources: []SourceCount{{77, 3}},
			Accounts: []ratelimit.AccountCount{{Key: ratelimit.AccountKey{1, 2}, Active: 2}},
			Counts:   []Growth{{Owner: "frontend f stream", Sums: []GrownSum{{"Sessions", []uint64{3}}}, Maxima: []GrownMaximum{{"Connect.max", 5}}}},
		},
		Waiting: []Waiting{{WaitKey{0, conf.EndpointTCP, 0}, 2}, {WaitKey{0, "", 1}, 1}},
		History: &admin.HandoverHistory{Times: []time.Time{time.Unix(1e9, 0).UTC()}, Series: []admin.HandoverSeries{{Values: []float32{1.5}}}},
	}
}

func someBatch() *[]Record {
	all := someRecords(2, true)
	all[1].Stream.Messages = &l4.MessageState{Answers: []byte("{}\n")}
	all[1].Stream.Relay.ToClient = []byte("pending")
	all[1].Stream.Relay.Held = []byte("over the rate")
	all = append(all, Record{Frontend: "web", HTTP: &l7.Handover{
		Client: all[0].Stream.Client, Pending: []byte("GET /"), Log: &accesslog.Record{Frontend: "web"},
		Exchange: l7.ExchangeHandover{Rewriter: &mcp.EndpointRewriter{}, ToServer: []byte("x")},
	}})
	all = append(all, Record{
		Frontend: "web", HTTP2: someMultiplexer(all[0].Stream.Client),
		Streams: []StreamRecord{{Holding: all[0].Holding, HasServer: true}, {}},
	})
	return &all
}

// someMultiplexer is a connection of HTTP/2 with an answer under way and a request.
func someMultiplexer(client session.ClientState) *l7.MultiplexerHandover {
	stream := http2.StreamState{ID: 1, SendWindow: 3, RecvWindow: 16384, Granted: 16384, SendLeft: -1, RecvLeft: -1}
	next := stream
	next.ID = 3
	return &l7.MultiplexerHandover{
		Client: client, Input: []byte("\x00\x00"), Output: []byte("frames"),
		HTTP2: http2.ConnState{
			Settings: http2.Settings{MaxStreams: 100, StreamWindow: 16384, MaxStreamWindow: 65536, ConnWindow: 1 << 20, MaxHead: 1 << 15},
			State:    2, Acknowledged: true, LastStream: 3, PeerWindow: 65535, PeerTableSize: 4096, SendWindow: 10, RecvWindow: 1 << 19,
			Table:   http2.TableState{Resized: true, Max: 4096, Fields: []http2.Field{{Name: []byte("x-a"), Value: []byte("b")}}},
			Streams: []http2.StreamState{stream, next}, EndedIDs: []uint32{1}, EndedHow: []uint8{1},
		},
		Streams: []l7.StreamHandover{
			{ID: 1, Handover: l7.Handover{Client: client, At: l7.AtAnswer, Log: &accesslog.Record{Frontend: "web"}}, Out: []byte("waits for a window")},
			{ID: 3, Handover: l7.Handover{Client: client, At: l7.AtRequest}, In: []byte("GET / HTTP/1.1\r\n\r\n")},
		},
	}
}
