// Package fleet lets several balancers act as one, by way of a Redis or Valkey server:
// they share bans (and their lifting), what clients use of the rates, and where sources
// belong that policy source displaced. And each shows all of them.
//
//	f := fleet.New(fleet.Options{Limiter: limiter, Now: engine.Now, Report: report, ...})
//	f.Apply(c.Fleet, c.Admin.Listen) // at the start and at each reload
//	f.Resume()                       // begins
//	f.Banned(prefix, 5*time.Minute, ratelimit.Manual, 0)
//	f.Close(ctx)
//
// # Guarantees
//
// Nothing here is ever waited for: what is to be shared is noted in memory, and one
// goroutine exchanges it every 100 ms, in one round trip. Without Redis every balancer
// works as alone: the global rates are its own in full, and what it wants to share waits,
// up to a bound. Batches, what is remembered and what is kept in Redis are bounded. Every
// key has a time to live. What is found in Redis is not trusted: what is too long or is no
// entry is skipped and counted, a key of the wrong type is deleted. The password appears
// in no error and no status.
//
// # How it is shared
//
// Keys are called mcplb:{NAME}:..., where NAME is the fleet's.
//
//	:bans:*, :sticky:*  a register each (register.lua): entries with a version, so that a
//	                    balancer reads what is new to it. The latest change of an entry
//	                    wins. Lifted bans are entries, too.
//	:rates              a stream of what each balancer let pass in the last 100 ms.
//	                    Each charges its own buckets with what the others let pass.
//	:balancers:*        what each balancer says of itself, once a second
//	:epoch              a random word. Another one shows that the data was lost: everything
//	                    is read again, and what is in force here is written again.
//
// A global rate is divided as well (division), since otherwise every balancer would use
// all of it for 100 ms and nothing for the next 100 ms. What a balancer leaves is used by
// the others.
//
// # Errors of the rates
//
// What passes at another balancer is known here 100 to 200 ms later. So over any window of
// length w at most burst + rate*w pass a source's limit at all balancers together, and in
// addition, at each balancer but one, what may pass in 200 ms: the burst at most. It is
// charged later: the mean over a longer time is the rate. At most 1,000 sources are shared
// per balancer and batch: those that used most.
package fleet
