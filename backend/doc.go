// Package backend manages the servers behind the balancer: their states and
// counters, which client gets a slot of which server, and which must wait.
//
// A Pool is one backend. A client's connection (or request) takes a slot of a
// server by Pool.Acquire and gives it back by Slot.Release, exactly once:
//
//	slot, result := pool.Acquire(&backend.Request{Source: addr, Now: now}, waiter)
//	if result == backend.Granted {
//		... // connect to slot.Server().Addr(endpoint)
//		slot.Release(backend.Completed, now)
//	}
//
// It guarantees that
//
//   - a server never has more slots in use than its maxconn, over all loops;
//   - a waiter is granted a slot or cancelled, never both and never neither,
//     and of two that could use a slot the one that came first gets it;
//   - a source (policy source) keeps its server for as long as that server is
//     usable, up to sticky_time after its last connection. Many sources of
//     about one size stay unsplit, each on one server, and the servers end even;
//     few or heavy ones are split, so that no server ends farther from its fair
//     share than balance_factor allows. On the way there a server may be off by
//     a source or two: at worst measured, 27% at 1,100 connections of 11 sources
//     that came one after another, 42% where few sources are heavy. source.go
//     says exactly what holds, for which sources, and what does not;
//   - Acquire and Release allocate nothing in the steady state.
//
// A server's state has two inputs, the verdict of the checks and the will of the
// operator, which one place commits (commit.go); State says which clients they
// let a server take. A server of weight 0 takes bound clients only. A degraded
// one (a check is overdue) takes new clients where no better server has a free
// slot. Nothing here ends a connection: a client that has a slot keeps it until
// it releases it.
//
// The package opens no connection, starts no goroutine and keeps no timer: the
// caller connects, owns the timeout of a queued waiter and calls Cancel, and
// passes its clock with every call. One mutex in each Pool guards slots, queue,
// policies and sticky memory together; observers read states, counters and
// connections without it.
//
// Where to find what:
//
//	pool.go, apply.go, handover.go   Pool: its use, its configuration, its hand-over
//	server.go, state.go, commit.go   Server, what it is and how its state changes
//	slot.go                          Request, Waiter, Result, Slot
//	balancer.go, queue.go            how a request gets a slot, at once or later
//	member.go, slowstart.go          what balancing needs of each server; its weight
//	policy.go                        what a policy is; then, one in each file:
//	  leastconn.go                     the fewest connections for the weight
//	  roundrobin.go                    in turn
//	  random.go                        the better of two drawn
//	  keyedhash.go                     by hash, the same everywhere
//	  source.go                        sticky and even; with it
//	    bounds.go, unsplit.go            how even, and which sources are not split
//	    memory.go, sticky.go             what is remembered of sources
//	    remembered.go                    what operators see of it
package backend
