// Package ratelimit decides who may enter: it limits, for each source address
// and for all sources together, how fast connections are opened and messages
// are sent, and how many connections are held at once; and it bans sources
// that keep trying.
//
// A source is one IPv4 address (an IPv4-mapped IPv6 address counts as the IPv4
// address in it) or one IPv6 /64, the least that a network hands to a customer.
//
// # Use
//
// The event loops share one Limiter. A loop asks Admit about each accepted
// connection, keeps the *Source for as long as the connection lives, charges
// messages to it with Delay or Allow, and gives it back once with Release:
//
//	source, verdict := limiter.Admit(address, now)
//	if verdict != ratelimit.Admitted {
//		return refuse(verdict)
//	}
//	defer source.Release()
//	pause := source.Delay(0, now) // what its other connections have used up
//	for {
//		readAgainAfter(pause)
//		pause = source.Delay(messagesJustRead, now)
//	}
//
// Every now is in nanoseconds of one monotonic clock, not negative, and the
// same clock for all callers. The cached clocks of the loops may differ a
// little: one that lags sees a bucket slightly emptier than it is, never
// fuller. The package itself reads no clock and starts no goroutine.
//
// # What it guarantees
//
// With T the time between two events at the configured rate (rounded up to a
// whole nanosecond):
//
//   - Connections, and messages by Allow: over any closed window of length w at
//     most burst + w/T are let through for a source, on however many loops.
//   - Messages by Delay, which lets pass what was read and then has the reader
//     pause: at most burst + w/T + L*n - 1, if the source never has more than L
//     connections at once, each reads at most n messages before it calls Delay,
//     none during a pause, and the first only after Delay(0) returned 0. The
//     long-run rate is 1/T. Without that first question a client could escape
//     its debt by connecting anew. (A connection that asks while a reader on
//     another loop is between reading and charging counts to L as well.)
//   - At most max_connections connections of a source are held at any instant.
//   - The global rates hold likewise for all sources together, with a burst of
//     one second's worth. (For connections T is not rounded, and a bucket of
//     golang.org/x/time/rate counts; a source's buckets take 8 bytes each.)
//   - Apply takes effect at once, on sources already connected too.
//   - A message costs a source no lock and no lookup, and nothing allocates but
//     the arrival of a source that needs more memory, and a ban.
//
// # Bans
//
// A connection refused for its source's rate or number of connections, and a
// message refused by Allow, is a violation; what only a global rate refused
// and what Delay slowed down is none. The source that reaches ban_after
// violations within a minute of the first of them is banned for ban_time (0 =
// until Unban). A ban refuses new connections; those held live on. Refusals
// during a ban are no violations and do not prolong it.
//
// # Memory
//
// A source takes 64 bytes and about 4 bytes of index; 1,000,000 take about
// 70 MB. A full table forgets the longest idle source first (of the same
// shard: a table of more than 8,191 sources is split into shards, so that loops
// seldom meet at a lock; as they fill unevenly, the first source is forgotten
// when the table is nearly full). Sources with live connections are never
// forgotten: if every one is connected, the table holds more than table_size,
// bounded by the connections that the process holds. A source whose buckets
// are full again and that has no violations is as good as unknown, and may be
// forgotten early. Memory once taken is kept for sources to come. Bans are
// kept apart and survive the forgetting; there are at most table_size automatic
// ones, and past that a source is limited but not banned.
//
// # What it does not do
//
// It closes no connection, sleeps never, and writes no answer: the caller does.
package ratelimit
