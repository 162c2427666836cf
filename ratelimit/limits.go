package ratelimit

import (
	"math"
	"time"

	"mcplb/conf"
)

// limits is a configuration in the form that decisions need. It is immutable.
type limits struct {
	connection       limit
	message          limit
	globalConnection int // connections per second; 0 = no limit
	globalMessages   int // messages per second; 0 = no limit
	globalMessage    limit
	fraction         float64 // what globalMessage is of globalMessages: see Limiter.Divide

	maxConnections int32 // of one source
	banAfter       int   // 0 = never
	banTime        time.Duration
	overMessage    conf.OverMessage
	exempt         AddressSet

	tracked   bool // sources must be in the table
	metered   bool // messages must be counted
	shardSize int  // sources that one shard may hold

	sharing *sharing // nil = nothing is shared with other balancers
}

func newLimits(c conf.RateLimit, shards int) *limits {
	l := &limits{
		connection:       newLimit(c.ConnectionRate, c.ConnectionBurst),
		message:          newLimit(c.MessageRate, c.MessageBurst),
		globalConnection: c.GlobalConnectionRate,
		globalMessages:   c.GlobalMessageRate,
		fraction:         1,
		globalMessage:    newLimit(c.GlobalMessageRate, c.GlobalMessageRate),
		maxConnections:   math.MaxInt32,
		banAfter:         min(c.BanAfter, maxViolations),
		banTime:          c.BanTime,
		overMessage:      c.OverMessage,
		exempt:           NewAddressSet(c.Exempt),
		metered:          c.MessageRate > 0 || c.GlobalMessageRate > 0,
		shardSize:        math.MaxInt,
	}
	if c.MaxConnections > 0 {
		l.maxConnections = int32(min(c.MaxConnections, math.MaxInt32))
	}
	if c.TableSize > 0 {
		l.shardSize = max(1, c.TableSize/shards)
	}
	// Messages reach the global bucket through their source.
	l.tracked = l.metered || c.ConnectionRate > 0 || c.MaxConnections > 0
	return l
}
