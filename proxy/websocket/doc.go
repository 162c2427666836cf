// Package websocket is the framing of RFC 6455, as far as a relay needs it:
// counting and checking the frames of one direction, writing Close frames, and
// answering the key of a handshake.
//
//	FrameMeter   counts and checks the frames of one direction
//	AppendClose  writes a Close frame
//	AcceptOf     answers the key of a handshake
//
// It guarantees that, whatever the bytes and however they are split into chunks,
// nothing here panics, keeps more than a fixed number of bytes, or finds
// anything but what it finds in the bytes in one piece. It does no I/O and
// allocates nothing on the path of frames. Nothing here is safe for use by
// several goroutines at once.
package websocket
