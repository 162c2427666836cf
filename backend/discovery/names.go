package discovery

import (
	"context"
	"log/slog"
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
	mostLookups = 8
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

	wake   chan struct{}   // capacity 1: the schedule has changed
	report chan struct{}   // capacity 1: changed is to be called
	life   context.Context // ends with Close
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
		ask: ask, log: log, changed: changed, settings: settings, life: ctx, stop: stop, names: map[nameKey]*name{},
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
// been answered, or has failed, or ctx ends, or Close is called. It does not call changed:
// the caller looks at the addresses itself, and then calls Want.
func (n *Names) Refresh(ctx context.Context, uses []Use, settings conf.Resolver) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.life, cancel)()
	n.mu.Lock()
	n.refreshing++
	all := n.uses()
	n.mu.Unlock()
	n.Want(append(all, uses...), settings)
	var asking sync.WaitGroup
	for _, key := range n.refresh(uses) {
		asking.Go(func() {
			select {
			case n.places <- struct{}{}:
				defer func() { <-n.places }()
			case <-ctx.Done(): // then it fails at once
			}
			n.lookUp(ctx, key)
		})
	}
	asking.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refreshing--
	n.signal(n.wake)
}

// refresh returns the names of uses, each once, and takes those that are not looked up
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
