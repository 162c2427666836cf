// Package handover moves a running balancer into another process: a new binary
// takes the place of the old one while clients are connected.
//
// A Process starts the new process and learns whether it serves (by tableflip).
// Everything else is sent over a Channel between the two, a Unix socket, including
// descriptors (SCM_RIGHTS). Old is the balancer in the old process and New the one
// in the new process: they produce and apply what is handed over. Sender and
// Receiver hold the conversation for them. Every binary contains all four, since
// each new process later becomes an old one. Package proxy implements OldBalancer
// and NewBalancer.
//
//	sender, err := handover.Begin(process, &handover.Old{Balancer: b}, version, log)
//	...                     // the new process serves
//	sender.Finish(ctx)      // moves the connections that become movable
//
//	receiver, err := handover.Receive(process, log)
//	...                     // starts a balancer, on receiver.Socket
//	receiver.TakeOver(n)    // n is a *handover.New
//	process.Ready()
//	receiver.Follow(n)      // until the old process has ended
//
// The life of an upgrade:
//
//	old process                             new process
//	serves, starts the new process          starts
//	Offer, Sockets                  ->      reads its configuration, opens new sockets
//	                                <-      Prepared
//	suspends: no accepts, no new slots
//	State, Begin                    ->      restores the state, accepts clients
//	                                <-      Serving
//	Batch                           ->
//	                                <-      Taken             as often as needed
//	Yours                           ->      serves the batch
//	Settled                         ->      Ready: tableflip notifies the old process
//	lets go of its sockets                  serves
//	Report                          ->
//	                                <-      Reserved          slots for clients who wait there and cannot move
//	more of Batch and Yours         ->      serves the connections that became movable
//	End                             ->      no old process any more
//
// Guarantees, whichever process dies or hangs at whatever point:
//
//   - Until Ready the old process can take everything back, except the batches
//     that belong to the new process already (Yours), and continue to serve.
//   - At any moment a listening socket is open in at least one of the two.
//   - A batch is served by no process between its detachment and Yours, and by
//     exactly one before and after. When the channel breaks in between, the sender
//     takes the batch back unless it has sent Yours, and the receiver drops its
//     copies unless it has received Yours: it is never served by both.
//   - Every client that was accepted gets a slot, in whichever process, and both together use
//     no more than maxconn: see Old.
//   - If the new process speaks another Protocol, only the listening sockets move:
//     connections end in the old process.
//   - A malformed payload is an error that ends the hand-over. It causes neither a
//     panic nor an allocation out of proportion to its size.
//
// Until Begin the old process serves as ever: a new process that crashes, hangs or
// refuses its configuration costs nothing.
//
// Times are on the engine's clock (CLOCK_MONOTONIC), which both processes share.
package handover
