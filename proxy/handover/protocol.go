package handover

import (
	"os"
	"time"
)

// Protocol is the number of the conversation's form after Prepared: states,
// batches, reports. It rises whenever that form changes. The rest of the
// conversation never changes its form.
const Protocol = 7

// Kind is what a message says. The numbers are part of the protocol.
type Kind uint8

// The kinds, in the order in which they are sent: those marked < by the old
// process, those marked > by the new one.
const (
	KindOffer    Kind = iota + 1 // < Offer: what will follow
	KindSockets                  // < Sockets, with a descriptor for each
	KindPrepared                 // > Prepared: the configuration is read, everything is open
	KindState                    // < State
	KindBegin                    // < accept clients from now on
	KindServing                  // > clients are accepted
	KindBatch                    // < Records, with their descriptors
	KindTaken                    // > the batch has arrived; nothing is done with it yet. The numbers of the refused connections
	KindYours                    // < serve the batch
	KindReport                   // < report: what the old process still holds
	KindSettled                  // < every connection that could move at once has moved: commit
	KindEnd                      // < the old process is about to end
	KindReserved                 // > the answer to a report: SlotCounts, which the old process may use beyond what it holds
)

// Offer begins the conversation.
type Offer struct {
	Protocol int    // Protocol of the old process
	PID      int    // its process ID
	Version  string // of its build
	Sockets  int    // how many sockets will follow
}

// Sockets names listening sockets by their addresses, as configured. One
// descriptor comes with each.
type Sockets struct{ Addresses []string }

// Prepared is the new process's answer when nothing can fail any more.
type Prepared struct {
	Protocol int // Protocol of the new process
	PID      int // its process ID
}

// Socket is a listening socket to hand over.
type Socket struct {
	Address string   // as configured
	File    *os.File // a copy; the receiver of the Socket closes it
}

const (
	// answerTime is how long the other side may be silent while clients wait.
	answerTime = 5 * time.Second
	// brokenTime is how long a new process may take to become Ready once the
	// channel is broken: by then it has nothing else left to do.
	brokenTime = 2 * time.Second
	// reportTime is the pause between two rounds of moving connections that have
	// become movable.
	reportTime = 50 * time.Millisecond
)
