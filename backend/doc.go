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
//   - a source (policy source) belongs on its first server by hash, unless that
//     would have more than balance_factor or 20 connections above its fair share:
//     source.go says exactly what holds. So pools of the same servers that know
//     nothing of each other agree for nearly all sources;
//   - a backup server takes new clients only while no other server is usable;
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
//	  source.go                        by hash and even; with it
//	    shares.go                        fair shares, and what keeps to them
//	    memory.go, sticky.go             what is remembered of sources
//	    displaced.go                     what balancers may share of it
//	    remembered.go                    what operators see of it
package backend
