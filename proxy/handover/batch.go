package handover

import (
	"cmp"
	"errors"

	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// Batch is connections on their way to the new process, detached from their
// loop.
type Batch struct {
	Payload     []byte // Records
	Descriptors []int
	// Gone ends the connections here, since the new process serves them, and
	// serves those again that it refused, by their numbers in the batch.
	Gone func(refused []int)
	// Back serves all of them again: they could not be handed over.
	Back func()
}

// The bounds of a batch.
const (
	mostInBatch = 240     // descriptors
	mostVisited = 4096    // connections: how long other clients of the loop wait
	mostPending = 4 << 20 // bytes that peers have not taken yet
)

var errStopped = errors.New("the balancer has stopped")

// Move detaches the connections that can move now, batch by batch, and calls
// send for each. It returns the first error of send, which must have called Back.
func (o *Old) Move(send func(*Batch) error) error {
	for _, loop := range o.Balancer.Engine().Loops() {
		for next, more := 0, true; more; more = next != 0 {
			var list []*leaving
			if !loop.Do(func() { list, next = o.detachSome(loop, next) }) {
				return errStopped
			}
			if len(list) == 0 {
				continue
			}
			batch, err := o.batch(loop, list)
			if err == nil {
				err = send(batch)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// detachSome detaches sessions of a loop, from one of its places on, and returns
// the place to continue at; 0 = the loop is done.
func (o *Old) detachSome(loop *reactor.Loop, from int) (list []*leaving, next int) {
	descriptors, visited, pending := 0, 0, 0
	most := cmp.Or(o.batchSize, mostInBatch)
	now := o.Balancer.Engine().Now()
	next = loop.SweepFrom(from, func(c *reactor.Conn) bool {
		visited++
		if m := o.detach(c); m != nil {
			m.record.Detached = now
			list = append(list, m)
			descriptors += m.record.descriptors()
			pending += m.pending()
		}
		return descriptors < most && visited < mostVisited && pending < mostPending
	})
	return list, next
}

// detach detaches the session of a client's connection, if it can move. Once the new
// process serves, one of HTTP/2 that never can is drained: GOAWAY loses no request. One
// of HTTP/1.1 ends with its next answer (OldBalancer.Leave): closed at rest, it would
// lose the request that is on its way.
func (o *Old) detach(c *reactor.Conn) *leaving {
	s := session.Of(c)
	if s == nil {
		return nil
	}
	_, multiplexed := s.(session.Multiplexer)
	never := session.Stays(c) || multiplexed && o.refused[s]
	m := &leaving{session: s, record: Record{Frontend: s.Info().Frontend, Holding: o.holding(s)}}
	if !o.refused[s] && m.detach() {
		o.recordStreams(m)
		return m
	}
	if never && multiplexed && o.left && s.Info().Requests > 0 {
		s.Drain() // not a client who has just come: it is about to ask
	}
	return nil
}

// holding is what a session, or a stream, holds here.
func (o *Old) holding(s session.Session) Holding {
	slot, source := s.Holds()
	h := Holding{Source: source.Key(), Limited: source != nil, Spent: source.Spent()}
	if slot.Server() != nil {
		h.Slot = o.keyOf(slot)
	}
	return h
}

// recordStreams notes the streams of a detached session, if it has any.
func (o *Old) recordStreams(m *leaving) {
	all, multiplexed := m.session.(session.Multiplexer)
	if !multiplexed {
		return
	}
	all.EachStream(func(s session.Session) {
		d := &m.detached.Streams[len(m.record.Streams)]
		m.record.Streams = append(m.record.Streams, StreamRecord{
			Holding: o.holding(s), HasServer: d.FD >= 0, Server: d.Watched, ServerTLS: stateOf(d),
		})
	})
}

// batch makes one batch of sessions of one loop.
func (o *Old) batch(loop *reactor.Loop, list []*leaving) (*Batch, error) {
	var records []Record
	var descriptors []int
	for _, m := range list {
		records = append(records, m.record)
		descriptors = append(descriptors, m.detached.FDs()...)
	}
	back := func() {
		loop.Do(func() {
			for _, m := range list {
				m.back()
			}
		})
	}
	payload, err := o.encoder.encode(records)
	if err != nil {
		back()
		return nil, err
	}
	return &Batch{
		Payload: payload, Descriptors: descriptors, Back: back,
		Gone: func(refused []int) { loop.Do(func() { o.gone(list, refused) }) },
	}, nil
}

// gone ends the sessions that the new process serves, and serves the refused ones
// again.
func (o *Old) gone(list []*leaving, refused []int) {
	for _, i := range refused {
		if i >= 0 && i < len(list) && list[i] != nil {
			o.refused[list[i].session] = true
			list[i].back()
			list[i] = nil
		}
	}
	for _, m := range list {
		if m != nil {
			m.gone()
		}
	}
}
