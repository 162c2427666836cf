// Package websocket implements the framing of RFC 6455 for a relay:
//
//	FrameMeter   counts and checks the frames of one direction
//	AppendClose  writes a Close frame
//	AcceptOf     computes the Sec-WebSocket-Accept of a handshake
//
// A relay counts every chunk and passes on its valid part:
//
//	meter := websocket.ClientFrames(extensions)
//
//	found := meter.Count(p, limit)
//	forward(p[:found.Valid])
//	if found.Fault != websocket.FrameOK {
//		reply = websocket.AppendClose(reply, found.Fault.CloseCode(), found.Fault.Error())
//	}
//
// To hold a client to a rate, count first, and pass on what may pass:
//
//	before := meter
//	found := meter.Count(p, limit)
//	if passing := take(meter.Begun(before, found)); passing is fewer {
//		meter = before
//		found = meter.CountUpTo(p, limit, passing)
//	}
//
// The package guarantees that no input makes it panic, that it holds a fixed
// number of bytes, and that its results do not depend on how the stream is
// split into chunks. It allocates nothing per frame. No value may be used by
// several goroutines at once.
//
// It does no I/O, does not unmask payloads or check their UTF-8, and does not
// implement extensions.
package websocket
