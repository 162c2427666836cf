// Package accesslog writes a line for every connection (modes tcp and mcp) and
// every request (mode http).
//
// It guarantees that whoever logs never waits: event loops fill in records of a
// fixed size and hand them over without a lock; one goroutine formats and
// writes them, a batch at a time. When it falls behind, because a disk is full
// or nobody reads a pipe, up to 8,192 records of each loop wait, and what comes
// beyond is dropped and counted. What waits is tried again, so that a failure
// that ends loses no more than that. A line is written whole, and whatever a
// client sent is escaped: nobody can forge a line, or move a terminal's cursor.
//
// Use: New once, Set with the path to write to, Buffer for each loop; Begin at
// the beginning of a connection or request, which is nil while the log is off,
// and End at its end. Reopen after a file was moved away, Follow once another
// process is asked for that, Close in the end.
//
// Lines of different loops may stand in another order than that in which they
// ended, by no more than the time between two batches, 0.1 s. It does not
// rotate files: logrotate does, and then asks for Reopen.
package accesslog
