package fleet

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mcplb/conf"
)

// When exchanges take place.
const (
	exchangeEvery = 100 * time.Millisecond
	hurryEvery    = 10 * time.Millisecond // when there is more to be read or written, or a ban
	backoffMost   = 5 * time.Second       // after failures: 100 ms, doubled each time
	aloneAfter    = time.Second           // without an exchange, the global rates are this balancer's in full
	leaveTimeout  = 500 * time.Millisecond
)

// member is the membership in one fleet, by one Redis: a goroutine that exchanges until it
// is ended.
type member struct {
	f      *Fleet
	before *member // which must have ended first; nil = none
	prefix string  // of keys
	redis  conf.Redis
	link   *link
	roster roster

	ctx    context.Context // ends with end
	cancel context.CancelFunc
	leaves atomic.Bool // the report is to be removed at the end
	done   chan struct{}
	repair bool // a key is not of its type

	mu     sync.Mutex // guards what follows
	status Status     // what show copies
	good   time.Time  // the last exchange that succeeded, or the start
}

func newMember(f *Fleet, before *member) *member {
	ctx, cancel := context.WithCancel(context.Background())
	now := time.Now()
	m := &member{
		f: f, before: before, prefix: "mcplb:{" + f.settings.Name + "}:", redis: f.settings.Redis, link: newLink(f.settings.Redis, f.o.TLS),
		roster: roster{instance: f.instance, token: token(), report: f.o.Report},
		ctx:    ctx, cancel: cancel, done: make(chan struct{}), good: now,
	}
	m.status.Since = now
	return m
}

// end makes the goroutine end, soon. leave says whether it removes the report.
func (m *member) end(leave bool) {
	m.leaves.Store(leave)
	m.cancel()
	if !leave {
		m.link.close()
	}
}

// cut ends whatever waits for Redis.
func (m *member) cut() { m.link.close() }

// run exchanges until the end.
func (m *member) run() {
	defer close(m.done)
	defer m.link.close()
	if m.before != nil {
		<-m.before.done
		m.before = nil
	}
	f := m.f
	f.bans.rejoin()
	f.places.rejoin()
	f.rates.rejoin(m.roster.token)
	defer f.rates.alone()
	for failures := 0; m.wait(failures); {
		if err := m.exchange(); err != nil {
			failures++
		} else {
			failures = 0
		}
	}
	if m.leaves.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
		defer cancel()
		_ = m.link.run(ctx, []call{m.roster.leave(m.prefix + "balancers")}) // or else its time to live ends
	}
}

// wait waits for the next exchange after so many failures in a row; false = the end. While
// it waits long, the global rates are this balancer's.
func (m *member) wait(failures int) bool {
	pause, hurry := exchangeEvery, m.f.kick
	if failures > 0 {
		pause = min(exchangeEvery<<min(failures-1, 10), backoffMost)
		pause += rand.N(pause / 4)
		hurry = nil
		if time.Since(m.lastGood()) > aloneAfter {
			m.f.rates.alone()
		}
	} else if m.f.bans.more || m.f.places.more {
		pause = hurryEvery
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-m.ctx.Done():
		return false
	case <-timer.C:
		return m.ctx.Err() == nil
	case <-hurry:
	}
	timer.Reset(hurryEvery)
	select {
	case <-m.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (m *member) lastGood() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.good
}

// exchange exchanges everything once, in one round trip.
func (m *member) exchange() error {
	calls := m.calls()
	start := time.Now()
	ctx, cancel := context.WithTimeout(m.ctx, dialTimeout+2*callTimeout)
	defer cancel()
	err := m.link.run(ctx, calls)
	if m.ctx.Err() != nil {
		return err
	}
	m.repair = err != nil && strings.Contains(err.Error(), "WRONGTYPE")
	m.note(err, time.Since(start))
	return err
}

// calls returns what the next exchange consists of.
func (m *member) calls() (calls []call) {
	f, now := m.f, time.Now()
	f.bans.more, f.places.more = false, false
	epoch := m.prefix + "epoch"
	if m.repair {
		calls = append(calls, m.repairs(epoch))
	}
	if f.sharing.bans.Load() {
		calls = append(calls, f.bans.exchange(m.prefix+"bans", epoch, m.roster.token, now))
	}
	if f.sharing.sticky.Load() {
		f.collectPlaces()
		calls = append(calls, f.places.exchange(m.prefix+"sticky", epoch, m.roster.token, now))
	}
	if f.sharing.rates.Load() {
		calls = append(calls, f.rates.exchange(m.prefix+"rates"))
	}
	if !now.Before(m.roster.nextAt) {
		calls = append(calls, m.roster.exchange(m.prefix+"balancers", now, m.took))
	}
	return calls
}

// repairs returns the call that deletes keys of the wrong type.
func (m *member) repairs(epoch string) call {
	keys := slices.Concat(registerKeys(m.prefix+"bans", epoch), registerKeys(m.prefix+"sticky", epoch), rosterKeys(m.prefix+"balancers"), []string{m.prefix + "rates"})
	types := slices.Concat(registerTypes, registerTypes, rosterTypes, []any{"stream"})
	return call{repairScript, keys, types, func(reply) error { return nil }}
}

// took notes the list of balancers.
func (m *member) took(all []Balancer, conflict bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status.Balancers, m.status.Conflict = all, conflict
}

// note notes the outcome of an exchange.
func (m *member) note(err error, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, now := &m.status, time.Now()
	changed := s.Connected != (err == nil) || s.Errors == 0 && err != nil
	if changed {
		s.Since = now
	}
	s.Connected, s.Error, s.Advice = err == nil, "", ""
	if err == nil {
		m.good, s.RoundTrip = now, took
		if changed {
			m.f.o.Log.Info("the fleet shares through Redis", "redis", m.redis.String(), "fleet", m.prefix, "instance", m.roster.instance)
		}
		return
	}
	s.Errors++
	m.f.failures.Add(1)
	s.Error, s.Advice = err.Error(), adviceFor(err.Error())
	if changed {
		m.f.o.Log.Warn("the fleet's Redis cannot be used: this balancer works alone until it can", "redis", m.redis.String(), "err", s.Error, "advice", s.Advice)
	}
}

// show adds what is known to a status. Reports that would have ended are left out.
func (m *member) show(s *Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := &m.status
	s.Connected, s.Since, s.Error, s.Advice, s.RoundTrip, s.Conflict = known.Connected, known.Since, known.Error, known.Advice, known.RoundTrip, known.Conflict
	s.Lag = time.Since(m.good)
	for _, b := range known.Balancers {
		if b.Age += s.Lag; b.Self {
			b.Age = 0
		}
		if b.Age < reportLives {
			s.Balancers = append(s.Balancers, b)
		}
	}
}

// advices say what to do about errors, by a part of them.
var advices = []struct{ part, advice string }{
	{"NOAUTH", "write the password into fleet.redis (redis://:PASSWORD@HOST), and reload"},
	{"WRONGPASS", "check user and password in fleet.redis, and reload"},
	{"NOPERM", "give the user of fleet.redis the commands that docs/fleet.md lists, for keys mcplb:*"},
	{"OOM", "Redis is full: raise its maxmemory, or set maxmemory-policy to volatile-ttl"},
	{"MISCONF", "Redis cannot save its data and refuses to write: look at its log and its disk"},
	{"READONLY", "fleet.redis is a replica: write the address of the primary, and reload"},
	{"MASTERDOWN", "fleet.redis is a replica without its primary: write the address of the primary, and reload"},
	{"LOADING", "nothing: Redis is starting"},
	{"WRONGTYPE", "nothing: something else wrote keys of this fleet, and they are deleted"},
	{"MOVED", "fleet.redis is a node of a cluster: use a Redis that is none"},
	{"x509", "the certificate must be valid for the host in fleet.redis, and of an authority that this system trusts"},
	{"first record does not look like a TLS handshake", "Redis does not speak TLS there: write redis:// instead of rediss://"},
	{"deadline exceeded", "see whether Redis runs and can be reached, whether it is overloaded, and with rediss:// whether it expects TLS there (else redis://)"},
	{"i/o timeout", "see whether Redis runs and can be reached, and whether it is overloaded"},
	{"EOF", "see whether Redis expects TLS there (rediss://), and whether it is at its maxclients"},
	{"reset by peer", "see whether Redis expects TLS there (rediss://), and whether it was restarted"},
	{"unknown command", "use Redis 5 or later, or Valkey, with EVALSHA allowed"},
}

func adviceFor(err string) string {
	for _, a := range advices {
		if strings.Contains(err, a.part) {
			return a.advice
		}
	}
	return "see whether Redis runs, and whether fleet.redis is its address"
}
