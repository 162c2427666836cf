// Package ratelimit decides which clients are accepted. It limits, per source
// address and for all sources together, how fast connections are opened and
// messages are sent, and how many connections are held at once. It bans sources
// that keep exceeding their limits.
//
// A source is one IPv4 address (an IPv4-mapped IPv6 address counts as the IPv4
// address in it) or one IPv6 /64, the smallest network that a provider assigns
// to a customer.
//
// # Use
//
// The event loops share one Limiter. A loop calls Admit for each accepted
// connection, keeps the *Source for as long as the connection lives, asks it with
// Take or Allow before it forwards messages, and calls Release once at the end:
//
//	source, verdict := limiter.Admit(address, now)
//	if verdict != ratelimit.Admitted {
//		return refuse(verdict)
//	}
//	defer source.Release()
//	var turn ratelimit.Turn
//	defer source.Leave(&turn)
//	for {
//		passing, wait := source.Take(&turn, messagesThere, now)
//		forward(passing)
//		continueAfter(wait) // the rest stays where it is, and nothing is read behind it
//	}
//
// Every now is in nanoseconds of the system's monotonic clock, not negative. The
// cached clocks of the loops may differ a little: a loop whose clock lags sees a
// bucket slightly emptier than it is, never fuller. The package reads no clock
// and starts no goroutine.
//
// # Guarantees
//
// Let T be the time between two events at the configured rate, rounded up to a
// whole nanosecond:
//
//   - Connections, and messages by Allow or Take: over any closed window of length
//     w at most burst + w/T of a source pass, on any number of loops and
//     connections, whatever one read brought. Who hangs up and comes back finds
//     the bucket as it was.
//   - Messages that wait pass first come first served over the connections of a
//     source, one of each in turn, and together at the rate. (A connection that
//     leaves leaves a gap of at most a second.) None is charged before it passes:
//     who leaves costs no one a token.
//   - At most max_connections connections of a source are held at any instant.
//   - The global rates hold likewise for all sources together, with a burst of
//     one second's worth. (For connections T is not rounded: they draw on one
//     bucket of golang.org/x/time/rate. Sources have buckets of 8 bytes.)
//   - Apply takes effect at once, on connected sources too.
//   - Charging a message takes no lock and no lookup. Nothing allocates except
//     a new source that needs more memory, and a ban.
//
// # Bans
//
// A violation is a connection refused for its source's rate or number of
// connections, or a message refused by Allow. What only a global rate refuses
// and what waits for its turn (Take) is no violation. A source that reaches ban_after
// violations within a minute of the first one is banned for ban_time (0 = until
// Unban). A ban refuses new connections and leaves existing ones alone. Refusals
// during a ban are no violations and do not prolong it. Operators can ban ranges of
// addresses, too: BanRange. OnBan makes automatic bans known, and Throttled shows
// who is delayed or refused most.
//
// # Proxies
//
// A connection of a trusted proxy carries the requests of many clients. AdmitProxy
// admits it without the limits of one source and without bans, and Enter finds the
// source of each client that it names: that is delayed, refused and banned as if it
// had connected itself. What a proxy sends by itself is limited by message_rate, but
// never leads to a ban.
//
// # Limits of routes
//
// Accounts are counted by other keys than a connection's source: a session, a
// header's value, all of a route. A request goes through all limits of its route as a
// Pass, which charges all of them or none, and waits at one of them in its turn:
//
//	var pass ratelimit.Pass
//	pass.Begin(accounts, claims, waker, now)
//	defer pass.Leave() // the request is over, or given up
//	for {
//		answer := pass.Ask(now)
//		if !answer.Waits {
//			return answer.Refused
//		}
//		askAgainAfter(answer.Wait) // or when waker is woken
//	}
//
// Accounts have one lock, which is held while the limits of a request are asked.
//
// # Memory
//
// A source takes 64 bytes and about 4 bytes of index; 1,000,000 take about
// 70 MB. A full table forgets the source that has been idle longest, among those
// of the same shard: a table of more than 8,191 sources is split into shards, so
// that loops rarely contend for a lock. Shards fill unevenly, so the first source
// is forgotten when the table is nearly full. Sources with live connections are
// never forgotten: if all are connected, the table holds more than table_size,
// bounded by the connections that the process holds. A source whose buckets are
// full again and that has no violations may be forgotten early, since a new one
// would be treated alike. Memory once taken is kept for later sources. Bans are
// kept separately and outlive the table's entries; there are at most table_size
// automatic ones, and beyond that a source is limited but not banned.
//
// # Limitations
//
// The package closes no connection, never sleeps and writes no response: that is
// up to the caller.
package ratelimit
