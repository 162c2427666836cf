// Package accesslog writes one line per connection (modes tcp and mcp) or
// request (mode http).
//
// Event loops fill in records of a fixed size and hand them over without a
// lock; one goroutine formats and writes them in batches:
//
//	log := accesslog.New(options)
//	opened, err := accesslog.Open(path)
//	log.Use(opened)
//
//	buffer := log.Buffer(loop.ID()) // one per loop
//	record := buffer.Begin()        // nil while the log is off
//	...
//	buffer.End(record)
//
// Call Reopen after the file was moved away, Follow once another process is
// asked to do that, and Close at the end.
//
// The package guarantees that
//   - logging never blocks a loop: if the writer falls behind, because a disk is
//     full or a pipe has no reader, up to 8,192 records of each loop wait, and
//     further ones are dropped and counted;
//   - a failed write is repeated, so that a temporary failure loses no more than
//     that;
//   - a line is written completely, and bytes from clients are escaped: no client
//     can forge a line or move a terminal's cursor.
//
// Lines of different loops may be out of order by up to the time between two
// batches, 0.1 s. The package does not rotate files: logrotate does, and then
// asks for Reopen.
package accesslog
