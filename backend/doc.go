// Package backend knows the servers behind the balancer: their states and
// counters, who gets a slot of which server, and who must wait for one.
//
// A Pool is one backend. A client's connection (or request) takes a slot of a
// server by Pool.Acquire and gives it back by Lease.Release, exactly once:
//
//	lease, result := pool.Acquire(&backend.Request{Source: addr, Now: now}, waiter)
//	...
//	lease.Release(backend.Completed, now)
//
// It guarantees that
//
//   - a server never has more slots in use than its maxconn, over all loops;
//   - a waiter is granted a slot or cancelled, never both and never neither,
//     and of two that could use a slot the one who came first gets it;
//   - a source (policy source) keeps its server for as long as that server is
//     usable, up to sticky_time after its last connection. Many sources of
//     about one size are each wholly on one server, and the servers end even;
//     few or heavy ones are split, so that no server ends farther from its fair
//     share than balance_factor allows. On the way there a server may be off by
//     a whole source or two: at worst measured, 27% at 1,100 connections of 11
//     sources that came one after another, 42% where few sources are heavy.
//     source.go says exactly what holds, for whom, and what does not;
//   - Acquire and Release allocate nothing in the steady state.
//
// A server's state has two inputs, which one place joins (Pool.commit): what
// the checks say and what the operator says.
//
//	           unchecked, up           down
//	ready      new and bound clients   nobody
//	drain      bound clients           nobody
//	maint      nobody                  nobody
//
// A server of weight 0 takes bound clients only. A suspect one (a check is
// overdue) takes new clients where no better server has a free slot. Nothing
// here ends a connection: a client that has a slot keeps it until it releases.
//
// The package opens no connection, starts no goroutine and keeps no timer: the
// caller connects, owns the timeout of a queued waiter and calls Cancel, and
// lends its clock with every call. One mutex in each Pool guards slots, queue,
// policies and sticky memory together; what observers read (states, counters,
// connections) is read without it.
package backend
