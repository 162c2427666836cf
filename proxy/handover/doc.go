// Package handover carries a running balancer over into another process: a new
// binary, which takes the place of the old one while clients are connected.
//
// A Process starts the new one and learns what became of it (tableflip does
// that part); between the two lies a Channel, a Unix socket, over which
// everything else goes, descriptors included. HandOver drives the side of the
// process before, Inheritance that of the new one. The same program is both,
// one after the other; what is handed over is the business of a Giver and a
// Taker, which package proxy implements.
//
//	process before                          new process
//	serves, starts it                       starts
//	Offer, Sockets                  ->      reads its configuration, opens what is new
//	                                <-      Prepared
//	suspends: no accept, no new slot
//	State, Begin                    ->      takes the state in, accepts
//	                                <-      Serving
//	Batch                           ->
//	                                <-      Taken             as often as needed
//	Yours                           ->      serves the batch
//	Settled                         ->      Ready: tableflip tells the process before
//	lets go of its sockets                  serves
//	Report, more of Batch and Yours ->      adopts who became movable
//	End                             ->      the only one again
//
// What it guarantees, whoever dies or hangs at whatever point:
//
//   - Until Ready the process before can take everything back but the batches
//     that are the new one's already (Yours), and serves on.
//   - A listening socket is open in one of the two at any moment.
//   - A batch is served by nobody between its detaching and Yours, and by one
//     process before and after. When the channel breaks in between, the sender
//     takes it back unless it has sent Yours, and the receiver drops its copies
//     unless it has received it: so never both.
//   - Another protocol number on the other side, and nothing but the listening
//     sockets moves: connections end in the process before.
//
// Everything until Begin is done while the process before serves as ever; a new
// process that crashes, hangs or refuses its configuration costs nothing.
package handover

import "os"

// Protocol is the number of what is said after Prepared: state, batches,
// reports. It grows whenever their form changes. The rest of the conversation
// keeps its form for good.
const Protocol = 3

// Offer begins the conversation.
type Offer struct {
	Protocol int    // Protocol of the process before
	PID      int    // its number
	Version  string // of its build
	Sockets  int    // how many Sockets will come
}

// Sockets names listening sockets by their addresses, as configured; a
// descriptor comes for each.
type Sockets struct{ Addresses []string }

// Prepared answers when nothing can fail any more.
type Prepared struct {
	Protocol int // Protocol of the new process
	PID      int // its number
}

// Socket is a listening socket to hand over.
type Socket struct {
	Address string   // as configured
	File    *os.File // a copy, which whoever has it closes
}

// Batch is connections on their way, detached from everything.
type Batch struct {
	Payload     []byte
	Descriptors []int
	// Gone says that they are the other process's, but for those refused, by
	// their numbers in the batch: close the descriptors, serve these again.
	Gone func(refused []int)
	// Back says that they could not be handed over: serve them again.
	Back func()
}

// Giver is a balancer that is handed over. Its methods are called one after
// the other, by one goroutine.
type Giver interface {
	// Sockets returns copies of all listening sockets.
	Sockets() ([]Socket, error)
	// Suspend stops accepting and giving slots away; clients wait. When it
	// returns, nobody is being accepted any more. Resume ends that.
	Suspend()
	Resume()
	// State returns what the new process is to know, once, while suspended.
	State() ([]byte, error)
	// Move detaches the connections that can move at present, batch by batch,
	// and hands each to give. It ends with the first error of give's, which is
	// told after Back.
	Move(give func(*Batch) error) error
	// Report returns what is still held here, and how many clients that is.
	Report() (payload []byte, clients int, err error)
}
