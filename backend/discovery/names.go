package discovery

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mcplb/conf"
)

const (
	// firstPause is how long after its first failure a name is looked up again. The
	// pause doubles from then on, up to max_ttl.
	firstPause = time.Second
	// mostPause bounds the pause where max_ttl does not.
	mostPause = time.Minute
	// shortestTTL bounds how often a name is looked up where min_ttl does not.
	shortestTTL = 100 * time.Millisecond
	// mostLookups is how many names are looked up at once: each takes two descriptors.
	mostLookups = 16
	// filesPause is how often the hosts file and resolv.conf are looked at.
	filesPause = 2 * time.Second
)

// Use is a host name that a server's addresses have.
type Use struct {
	Server string // unique, such as backend/server
	Host   string
	Family conf.Family
}

// Asker answers questions for addresses, as a Resolver does.
type Asker interface {
	Addresses(ctx context.Context, host string, family conf.Family) (Answer, error)
	Apply(settings conf.Resolver)
	Changed() bool // the answers may be others now, whatever their TTL
}

// Names knows which address each name stands for, by looking it up again when its
// TTL ends. Any goroutine may use it.
//
// Each server that uses a name has an address of the name's: the first one at first,
// which stays while it is among the answers. Of a name:
//
//	state       event                           next
//	unknown     an answer                       known
//	unknown     a failure                       unresolved
//	known       an answer                       known; servers whose address is not in it move
//	known       a failure                       held, for [resolver] hold
//	held        an answer                       known, as above
//	held        a failure                       held
//	held        hold is over                    unresolved: its servers have no address
//	unresolved  an answer                       known
//	unresolved  a failure                       unresolved
//
// A name that is known is looked up again when its TTL ends, any other after a pause
// that doubles, and all of them when the hosts file or resolv.conf changes.
type Names struct {
	ask     Asker
	log     *slog.Logger
	changed func() // a server's address is another

	wake   chan struct{} // capacity 1: the schedule has changed
	report chan struct{} // capacity 1: changed is to be called
	stop   context.CancelFunc
	places chan struct{} // one for each look-up under way
	ended  sync.WaitGroup

	mu         sync.Mutex // guards what follows
	settings   conf.Resolver
	names      map[nameKey]*name
	refreshing int // calls of Refresh under way: changed is not called
}

// nameKey identifies a name.
type nameKey struct {
	host   string
	family conf.Family
}

// name is one name. Names.mu guards it.
type name struct {
	nameKey
	uses    map[string]*use // by server
	answer  Answer          // the last good one; no addresses = none, or hold is over
	asked   bool            // there was an answer or a failure
	asking  bool
	good    time.Time // of the last good answer
	next    time.Time // of the next look-up
	pause   time.Duration
	held    time.Time // until when the answer is kept while look-ups fail; zero = they do not, or without limit
	failed  time.Time // of the last failure
	failure string    // of the last look-up; "" = it was good
	kind    Kind
	lookups uint64
	fails   uint64
}

// use is the address of a name that a server has.
type use struct {
	address netip.Addr // invalid = none
	since   time.Time
}

// NewNames begins to look up what Want names. changed is called, on another
// goroutine, after a server's address has become another. The caller must close it.
func NewNames(ask Asker, settings conf.Resolver, log *slog.Logger, changed func()) *Names {
	ctx, stop := context.WithCancel(context.Background())
	n := &Names{
		ask: ask, log: log, changed: changed, settings: settings, stop: stop, names: map[nameKey]*name{},
		wake: make(chan struct{}, 1), report: make(chan struct{}, 1), places: make(chan struct{}, mostLookups),
	}
	n.ended.Go(func() { n.keepLookingUp(ctx) })
	n.ended.Go(func() { n.keepReporting(ctx) })
	return n
}

// Close ends the look-ups, and returns when none is under way. It must not be called
// while changed waits for the caller.
func (n *Names) Close() {
	n.stop()
	n.ended.Wait()
}

// Want makes the names those of uses. One that was known keeps what is known of it;
// the others are looked up. settings are those of [resolver] from now on.
func (n *Names) Want(uses []Use, settings conf.Resolver) {
	n.ask.Apply(settings)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settings = settings
	before := n.names
	n.names = map[nameKey]*name{}
	had := map[nameKey]map[string]*use{}
	for _, u := range uses {
		key := nameKey{u.Host, u.Family}
		known := n.names[key]
		if known == nil {
			if known = before[key]; known == nil {
				known = &name{nameKey: key}
			}
			had[key], known.uses = known.uses, map[string]*use{}
			n.names[key] = known
		}
		known.uses[u.Server] = had[key][u.Server]
		if known.uses[u.Server] == nil {
			known.uses[u.Server] = &use{}
		}
	}
	n.settle(time.Now())
	n.signal(n.wake)
}

// Refresh adds uses to the names, looks all of them up now, and returns when each has
// been answered, or has failed, or ctx ends. It does not call changed: the caller
// looks at the addresses itself, and then calls Want.
func (n *Names) Refresh(ctx context.Context, uses []Use, settings conf.Resolver) {
	n.mu.Lock()
	n.refreshing++
	all := n.uses()
	n.mu.Unlock()
	n.Want(append(all, uses...), settings)
	var asking sync.WaitGroup
	for _, key := range n.refresh(uses) {
		asking.Go(func() { n.lookUp(ctx, key) })
	}
	asking.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refreshing--
	n.signal(n.wake)
}

// refresh returns the names of uses, each once, and takes those that nobody looks up
// yet.
func (n *Names) refresh(uses []Use) (keys []nameKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, u := range uses {
		key := nameKey{u.Host, u.Family}
		if known := n.names[key]; known != nil && !slices.Contains(keys, key) {
			known.asking = true
			keys = append(keys, key)
		}
	}
	return keys
}

// uses returns what is wanted. n.mu is held.
func (n *Names) uses() (all []Use) {
	for key, known := range n.names {
		for server := range known.uses {
			all = append(all, Use{server, key.host, key.family})
		}
	}
	return all
}

// signal wakes the goroutine that waits for a channel.
func (n *Names) signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// keepReporting is the goroutine that calls changed.
func (n *Names) keepReporting(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.report:
			n.changed()
		}
	}
}

// keepLookingUp is the goroutine of the schedule.
func (n *Names) keepLookingUp(ctx context.Context) {
	defer n.fillPlaces()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		due, pause := n.due(now)
		for _, key := range due {
			n.start(ctx, key)
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
		case <-n.wake:
		case <-timer.C:
		}
	}
}

// fillPlaces waits until no look-up is under way.
func (n *Names) fillPlaces() {
	for range mostLookups {
		n.places <- struct{}{}
	}
}

// start looks a name up on a goroutine, when a place is free.
func (n *Names) start(ctx context.Context, key nameKey) {
	n.places <- struct{}{}
	go func() {
		defer func() { <-n.places }()
		n.lookUp(ctx, key)
		n.signal(n.wake)
	}()
}

// due returns the names to be looked up at now, the one that waits for longest first,
// and takes them; and how long there is until something is to be done.
func (n *Names) due(now time.Time) (keys []nameKey, pause time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	pause = time.Hour
	if len(n.names) > 0 {
		pause = filesPause
		if n.ask.Changed() {
			n.expire(now)
		}
	}
	n.settle(now)
	for key, known := range n.names {
		switch {
		case known.asking:
		case !known.next.After(now):
			known.asking = true
			keys = append(keys, key)
		default:
			pause = min(pause, known.next.Sub(now))
		}
		if !known.held.IsZero() {
			pause = min(pause, known.held.Sub(now))
		}
	}
	slices.SortFunc(keys, func(a, b nameKey) int { return n.names[a].next.Compare(n.names[b].next) })
	return keys, max(pause, 0)
}

// expire makes every name due. n.mu is held.
func (n *Names) expire(now time.Time) {
	for _, known := range n.names {
		known.next, known.pause = now, 0
	}
}

// lookUp looks one name up, and notes the outcome.
func (n *Names) lookUp(ctx context.Context, key nameKey) {
	answer, err := n.ask.Addresses(ctx, key.host, key.family)
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.names[key]
	if known == nil {
		return // not wanted any more
	}
	known.asking = false
	if KindOf(err) == NotAsked && known.asked {
		return // the caller did not wait: this says nothing
	}
	known.asked = true
	known.lookups++
	if err != nil {
		n.fail(known, err, now)
	} else {
		n.succeed(known, answer, now)
	}
	n.settle(now)
}

// succeed notes a good answer.
func (n *Names) succeed(known *name, answer Answer, now time.Time) {
	if known.failure != "" && len(known.answer.Addresses) > 0 {
		n.log.Info("host name resolves again", "name", known.host)
	}
	known.answer = known.answer.succeededBy(answer)
	known.good, known.held, known.failure, known.kind, known.pause = now, time.Time{}, "", "", 0
	known.next = now.Add(max(answer.TTL, shortestTTL))
}

// succeededBy returns the next answer. Addresses of a family that was not answered
// for are those of the answer before.
func (a Answer) succeededBy(next Answer) Answer {
	for _, address := range a.Addresses {
		if next.Missing != "" && next.Missing.Has(address) && !slices.Contains(next.Addresses, address) {
			next.Addresses = append(slices.Clone(next.Addresses), address)
		}
	}
	next.Addresses = sortFamilies(next.Addresses, conf.FamilyAny)
	return next
}

// fail notes a failure. What is known is kept for a while.
func (n *Names) fail(known *name, err error, now time.Time) {
	known.fails++
	if known.failure == "" && len(known.answer.Addresses) > 0 {
		until := "it resolves again"
		if n.settings.Hold > 0 {
			known.held = now.Add(n.settings.Hold)
			until = known.held.Format(time.RFC3339)
		}
		n.log.Warn("host name does not resolve, servers keep its address", "name", known.host, "err", err, "until", until)
	}
	if len(known.answer.Addresses) == 0 && known.failure != err.Error() && n.refreshing == 0 {
		n.signal(n.report) // the reason has changed
	}
	known.failed, known.failure, known.kind = now, err.Error(), KindOf(err)
	known.pause = max(min(2*known.pause, n.longestPause()), min(firstPause, n.longestPause()))
	known.next = now.Add(known.pause)
}

// longestPause is the longest between two look-ups that fail.
func (n *Names) longestPause() time.Duration {
	if n.settings.MaxTTL > 0 {
		return n.settings.MaxTTL
	}
	return mostPause
}

// settle gives every server an address of its names, and takes away what is not held
// any more. n.mu is held.
func (n *Names) settle(now time.Time) {
	moved := false
	for _, known := range n.names {
		if !known.held.IsZero() && !known.held.After(now) {
			known.answer, known.held = Answer{}, time.Time{}
		}
		for _, u := range known.uses {
			moved = u.settle(known.answer.Addresses, now) || moved
		}
	}
	if moved && n.refreshing == 0 {
		n.signal(n.report)
	}
}

// settle keeps the address if it is among the addresses, and reports whether it is
// another now.
func (u *use) settle(addresses []netip.Addr, now time.Time) (moved bool) {
	if u.address.IsValid() && slices.Contains(addresses, u.address) || !u.address.IsValid() && len(addresses) == 0 {
		return false
	}
	u.address, u.since = netip.Addr{}, now
	if len(addresses) > 0 {
		u.address = addresses[0]
	}
	return true
}

// Address returns the address that a server has for a name; invalid = none is known.
func (n *Names) Address(u Use) netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known := n.names[nameKey{u.Host, u.Family}]; known != nil && known.uses[u.Server] != nil {
		return known.uses[u.Server].address
	}
	return netip.Addr{}
}

// Reason returns why a name stands for nothing, in an operator's words.
func (n *Names) Reason(u Use) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known := n.names[nameKey{u.Host, u.Family}]; known != nil && known.asked {
		return known.failure
	}
	return string(NotAsked)
}

// Others returns the other addresses of a name, in order, beginning behind the one
// that the server has.
func (n *Names) Others(u Use) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.names[nameKey{u.Host, u.Family}]
	if known == nil || known.uses[u.Server] == nil {
		return nil
	}
	all := known.answer.Addresses
	i := slices.Index(all, known.uses[u.Server].address)
	if i < 0 {
		return nil
	}
	return slices.Concat(all[i+1:], all[:i])
}

// Move gives a server another address of a name, which must still be one.
func (n *Names) Move(u Use, to netip.Addr) (moved bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.names[nameKey{u.Host, u.Family}]
	if known == nil || known.uses[u.Server] == nil || !slices.Contains(known.answer.Addresses, to) {
		return false
	}
	*known.uses[u.Server] = use{to, time.Now()}
	n.signal(n.report)
	return true
}

// List returns what is known, by server, name and family.
func (n *Names) List() (all []Known) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, known := range n.names {
		for _, server := range slices.Sorted(maps.Keys(known.uses)) {
			all = append(all, known.show(server))
		}
	}
	slices.SortFunc(all, Known.compare)
	return all
}
