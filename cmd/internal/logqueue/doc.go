// Package logqueue writes a program's log without letting the log stop or end the
// program.
//
//	signal.Ignore(syscall.SIGPIPE)
//	queue := logqueue.New(os.Stderr)
//	defer queue.Close(time.Second)
//	log := slog.New(slog.NewTextHandler(queue, nil))
//	queue.OnLost(func(n uint64) { log.Warn("log lines were lost", "lines", n) })
//
// It guarantees that
//   - Write never waits for the reader of the log: up to a megabyte waits to be
//     written, and further lines are dropped and counted;
//   - lines are written whole, in their order, and their loss is reported in the log
//     once there is room again;
//   - what the Go runtime itself writes to standard error, the stack of a panic, does
//     not wait for the reader either: the process ends.
//
// SIGPIPE is the program's business: unless it is ignored, a write to standard error
// whose reader has gone ends a Go program.
package logqueue
