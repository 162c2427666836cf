package handover

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// mostDescriptors is how many descriptors may be sent at once (SCM_MAX_FD, unix(7)).
// Those of a connection of HTTP/2 may be more: they follow, as many at once with a byte of
// their own, before the payload. mostPerMessage bounds those of a message.
const (
	mostDescriptors = 253
	mostPerMessage  = 1 << 16
)

// mostPayload bounds a message: a fault of the other side must not exhaust this
// process's memory.
const mostPayload = 1 << 30

// headerSize is that of the kind, 3 bytes of padding, the number of descriptors
// and the length of the payload.
const headerSize = 1 + 3 + 4 + 4

// Message is one received message. Its descriptors belong to the receiver.
type Message struct {
	Kind        Kind
	Payload     []byte
	Descriptors []int
}

// Decode reads the payload, which must be JSON, into v.
func (m *Message) Decode(v any) error {
	if err := json.Unmarshal(m.Payload, v); err != nil {
		return fmt.Errorf("hand-over message %d: %w", m.Kind, err)
	}
	return nil
}

// Close closes the descriptors that are left in the message.
func (m *Message) Close() {
	for _, fd := range m.Descriptors {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	m.Descriptors = nil
}

// Channel carries messages and descriptors between two processes, over a Unix
// stream socket. One goroutine may send while another receives. After the first
// error it must not be used any more.
type Channel struct {
	conn  *net.UnixConn
	limit atomic.Int64 // nanoseconds, as SetLimit says
}

// NewChannel makes a channel of a socket, and closes the file.
func NewChannel(file *os.File) (*Channel, error) {
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("hand-over socket: %w", err)
	}
	stream, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("hand-over socket: it is a %T, not a Unix socket", conn)
	}
	return &Channel{conn: stream}, nil
}

// pair makes a channel and, as a file, its other end.
func pair() (*Channel, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("hand-over socket: %w", os.NewSyscallError("socketpair", err))
	}
	near, err := NewChannel(os.NewFile(uintptr(fds[0]), "handover"))
	far := os.NewFile(uintptr(fds[1]), "handover")
	if err != nil {
		far.Close()
		return nil, nil, err
	}
	return near, far, nil
}

// SetLimit lets each send and receive from now on fail that takes longer than d; 0 = no
// limit. It is the other side's silence that counts: this side may be slow between two
// messages, as on a busy machine.
func (c *Channel) SetLimit(d time.Duration) { c.limit.Store(int64(d)) }

// deadline is that of a send or receive that begins now.
func (c *Channel) deadline() (when time.Time) {
	if d := time.Duration(c.limit.Load()); d > 0 {
		when = time.Now().Add(d)
	}
	return when
}

// Close breaks the channel: both sides see its end, even if other processes have
// copies of its descriptors. Any goroutine may call it, more than once.
func (c *Channel) Close() {
	if raw, err := c.conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	}
	c.conn.Close()
}

// Send sends a message. The descriptors still belong to the caller.
func (c *Channel) Send(kind Kind, payload []byte, descriptors ...int) error {
	if len(descriptors) > mostPerMessage || len(payload) > mostPayload {
		return fmt.Errorf("hand-over message %d: %d descriptors and %d bytes are too many", kind, len(descriptors), len(payload))
	}
	_ = c.conn.SetWriteDeadline(c.deadline()) // if it fails, so will the writes
	var head [headerSize]byte
	head[0] = byte(kind)
	binary.BigEndian.PutUint32(head[4:], uint32(len(descriptors)))
	binary.BigEndian.PutUint32(head[8:], uint32(len(payload)))
	first := descriptors[:min(len(descriptors), mostDescriptors)]
	err := c.sendRights(head[:], first)
	for rest := descriptors[len(first):]; len(rest) > 0 && err == nil; {
		n := min(len(rest), mostDescriptors)
		err = c.sendRights([]byte{0}, rest[:n])
		rest = rest[n:]
	}
	if err == nil && len(payload) > 0 {
		_, err = c.conn.Write(payload)
	}
	if err != nil {
		return fmt.Errorf("hand-over message %d: %w", kind, err)
	}
	return nil
}

// sendRights sends p, which a stream socket does not split, and descriptors with it.
func (c *Channel) sendRights(p []byte, descriptors []int) error {
	var rights []byte
	if len(descriptors) > 0 {
		rights = unix.UnixRights(descriptors...)
	}
	n, _, err := c.conn.WriteMsgUnix(p, rights, nil)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// SendJSON sends a message whose payload is v in JSON.
func (c *Channel) SendJSON(kind Kind, v any, descriptors ...int) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("hand-over message %d: %w", kind, err)
	}
	return c.Send(kind, payload, descriptors...)
}

// Receive returns the next message. io.EOF means that the other side has closed
// the channel between two messages.
func (c *Channel) Receive() (*Message, error) {
	_ = c.conn.SetReadDeadline(c.deadline()) // if it fails, so will the reads
	var head [headerSize]byte
	descriptors, err := c.receiveHead(head[:])
	if err != nil {
		return nil, err
	}
	m := &Message{Kind: Kind(head[0]), Descriptors: descriptors}
	wanted, size := int(binary.BigEndian.Uint32(head[4:])), binary.BigEndian.Uint32(head[8:])
	err = c.receiveRest(m, wanted)
	switch {
	case err != nil:
	case wanted != len(m.Descriptors):
		err = fmt.Errorf("%d descriptors came of %d (is the open-files limit too low?)", len(m.Descriptors), wanted)
	case size > mostPayload:
		err = fmt.Errorf("%d bytes are too many", size)
	default:
		m.Payload, err = c.receivePayload(int(size))
	}
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("hand-over message %d: %w", m.Kind, err)
	}
	return m, nil
}

// receiveRest reads the descriptors of m that did not fit beside its head.
func (c *Channel) receiveRest(m *Message, wanted int) error {
	for got := len(m.Descriptors); got > 0 && got%mostDescriptors == 0 && got < min(wanted, mostPerMessage); got = len(m.Descriptors) {
		more, err := c.receiveHead([]byte{0})
		m.Descriptors = append(m.Descriptors, more...)
		if err != nil || len(more) == 0 {
			return err
		}
	}
	return nil
}

// receivePayload reads a payload. It allocates memory as the bytes arrive, not by
// the size that the head claims.
func (c *Channel) receivePayload(size int) ([]byte, error) {
	const step = 1 << 20
	payload := make([]byte, 0, min(size, step))
	for len(payload) < size {
		payload = slices.Grow(payload, min(size-len(payload), step))
		n, err := io.ReadFull(c.conn, payload[len(payload):min(size, cap(payload))])
		payload = payload[:len(payload)+n]
		if err != nil {
			return nil, err
		}
	}
	return payload, nil
}

// receiveHead reads a message's head, and the descriptors that came with it.
func (c *Channel) receiveHead(head []byte) (descriptors []int, err error) {
	rights := make([]byte, unix.CmsgSpace(4*mostDescriptors))
	for read := 0; read < len(head); {
		n, size, _, _, err := c.conn.ReadMsgUnix(head[read:], rights)
		if err == nil && n == 0 {
			err = io.EOF
		}
		fds, parseErr := parseRights(rights[:size])
		descriptors = append(descriptors, fds...)
		if err = errors.Join(err, parseErr); err != nil {
			(&Message{Descriptors: descriptors}).Close()
			if read == 0 && n == 0 && errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			return nil, fmt.Errorf("hand-over: %w", err)
		}
		read += n
	}
	return descriptors, nil
}

// parseRights returns the descriptors in a control message.
func parseRights(control []byte) ([]int, error) {
	if len(control) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	var all []int
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // not descriptors
		}
		all = append(all, fds...)
	}
	return all, nil
}

// Expect receives a message of the given kind.
func (c *Channel) Expect(kind Kind) (*Message, error) {
	m, err := c.Receive()
	if err != nil {
		return nil, err
	}
	if m.Kind != kind {
		m.Close()
		return nil, fmt.Errorf("hand-over: message %d came instead of %d", m.Kind, kind)
	}
	return m, nil
}
