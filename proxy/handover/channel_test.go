package handover

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Every malformed message is an error, and no descriptor stays open.
func TestMalformed(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string][]byte{
		"too long":         {byte(KindBatch), 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		"no descriptors":   {byte(KindBatch), 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0},
		"cut in the head":  {byte(KindBatch), 0, 0},
		"too many of them": {byte(KindBatch), 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"cut behind it":    {byte(KindBatch), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1},
	} {
		near, far, err := pair()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := far.Write(bytes); err != nil {
			t.Fatal(err)
		}
		far.Close()
		if m, err := near.Receive(); err == nil {
			t.Errorf("%s: received %+v", name, m)
		}
		near.Close()
	}
}

// A process that a busy machine does not run for a while, between two messages, goes on
// with the hand-over, for which only the silence of the other side is a failure. Otherwise
// upgrades fail on such a machine.
func TestPauseBetweenMessages(t *testing.T) {
	t.Parallel()
	var err error
	for _, limit := range []time.Duration{20 * time.Millisecond, 500 * time.Millisecond, 10 * time.Second} {
		if err = pauseBetweenMessages(t, limit); err == nil { // else the pause may have come within a message
			return
		}
	}
	t.Error(err)
}

// pauseBetweenMessages sends and receives a message, each after a pause.
func pauseBetweenMessages(t *testing.T, limit time.Duration) error {
	t.Helper()
	near, file, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	far, err := NewChannel(file)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	defer far.Close()
	for _, side := range []*Channel{near, far} {
		side.SetLimit(limit)
	}
	time.Sleep(limit + limit/2) // the pause
	if err := near.Send(KindState, []byte("payload")); err != nil {
		return err
	}
	time.Sleep(limit + limit/2)
	if m, err := far.Receive(); err != nil || string(m.Payload) != "payload" {
		return fmt.Errorf("received %+v, %w", m, err)
	}
	if _, err := far.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the silence of the other side ends with %v", err)
	}
	return nil
}

// A message carries more descriptors than a system call can: those of a connection of HTTP/2
// with many streams move together.
func TestManyDescriptors(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, mostDescriptors - 1, mostDescriptors, mostDescriptors + 1, 2 * mostDescriptors, 2*mostDescriptors + 5} {
		near, file, err := pair()
		if err != nil {
			t.Fatal(err)
		}
		far, err := NewChannel(file)
		if err != nil {
			t.Fatal(err)
		}
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		descriptors := make([]int, n)
		for i := range descriptors {
			descriptors[i] = int(null.Fd())
		}
		sent := make(chan error)
		go func() { sent <- near.Send(KindBatch, []byte("payload"), descriptors...) }()
		m, err := far.Receive()
		if err != nil || len(m.Descriptors) != n || string(m.Payload) != "payload" {
			t.Fatalf("%d descriptors: %+v, %v", n, m, err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		for _, fd := range m.Descriptors {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
				t.Error(err)
			}
		}
		m.Close()
		near.Close()
		far.Close()
		null.Close()
	}
}

// Descriptors that do not follow are an error, and those that came are closed.
func TestDescriptorsMissing(t *testing.T) {
	t.Parallel()
	near, file, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	far, err := NewChannel(file)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	descriptors := make([]int, mostDescriptors)
	for i := range descriptors {
		descriptors[i] = int(os.Stdin.Fd())
	}
	head := [headerSize]byte{byte(KindBatch), 0, 0, 0, 0, 0, 2, 0}
	if err := near.sendRights(head[:], descriptors); err != nil {
		t.Fatal(err)
	}
	if err := near.sendRights([]byte{0}, nil); err != nil {
		t.Fatal(err)
	}
	if m, err := far.Receive(); err == nil {
		t.Errorf("received %d descriptors of 512", len(m.Descriptors))
	}
	near.Close()
}
