package fleet

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"mcplb/ratelimit"
)

// A ban is an entry of the register of bans: its key is the prefix, its payload
//
//	ban REASON VIOLATIONS until    it ends with the entry
//	ban REASON VIOLATIONS endless  it ends when it is lifted
//	lifted

// endlessLives is how long the entry of a ban without an end lives, unless a balancer that
// has the ban makes it live longer; and how long a balancer may be away that has to learn
// that a ban was lifted.
const endlessLives = 24 * time.Hour

// reasons are the words for reasons.
var reasons = map[string]ratelimit.Reason{}

func init() {
	for _, r := range []ratelimit.Reason{ratelimit.Manual, ratelimit.ConnectionRate, ratelimit.SourceConnections, ratelimit.MessageRate} {
		reasons[r.String()] = r
	}
}

const lifted = "lifted"

// banEntry returns the entry of a ban.
func banEntry(b ratelimit.Ban, stamp int64) entry {
	lives, end := b.Remaining, "until"
	if b.Remaining <= 0 {
		lives, end = endlessLives, "endless"
	}
	return entry{b.Source.String(), fmt.Sprintf("ban %s %d %s", b.Reason, b.Violations, end), stamp, lives}
}

// parseBan reads the entry of a ban that lives for so long; lift says that the ban of
// its source is lifted.
func parseBan(key, payload string, lives time.Duration) (b ratelimit.Ban, lift, ok bool) {
	prefix, err := netip.ParsePrefix(key)
	if err != nil || prefix != prefix.Masked() {
		return b, false, false
	}
	if payload == lifted {
		return ratelimit.Ban{Source: prefix}, true, true
	}
	words := strings.Split(payload, " ")
	if len(words) != 4 || words[0] != "ban" {
		return b, false, false
	}
	reason, known := reasons[words[1]]
	violations, err := strconv.ParseUint(words[2], 10, 31)
	b = ratelimit.Ban{Source: prefix, Remaining: lives, Reason: reason, Violations: int(violations)}
	if words[3] == "endless" {
		b.Remaining = 0
	}
	return b, false, known && err == nil && (words[3] == "endless" || words[3] == "until")
}

// Banned makes a ban known to the fleet. It does not wait, and may be called on a loop.
func (f *Fleet) Banned(b ratelimit.Ban) {
	if f.sharing.bans.Load() {
		f.bans.note(banEntry(b, f.stamp()))
		f.hurry()
	}
}

// Lifted makes known that the ban of exactly this prefix is lifted. It does not wait.
func (f *Fleet) Lifted(prefix netip.Prefix) {
	if f.sharing.bans.Load() {
		f.bans.note(entry{prefix.String(), lifted, f.stamp(), endlessLives})
		f.hurry()
	}
}

// adoptBan carries out an entry of the register of bans.
func (f *Fleet) adoptBan(key, payload string, lives time.Duration) bool {
	b, lift, ok := parseBan(key, payload, lives)
	if !ok {
		return false
	}
	now := f.o.Now()
	if lift {
		if f.o.Limiter.UnbanRange(b.Source, now) {
			f.logBan("ban lifted by the fleet", b)
		}
		return true
	}
	if f.o.Limiter.Adopt(b, now) {
		f.logBan("source banned by the fleet", b)
	}
	return true
}

// logBan logs what another balancer has done, limited in rate.
func (f *Fleet) logBan(what string, b ratelimit.Ban) {
	if omitted, ok := f.lines.Allow(); ok {
		f.o.Log.Info(what, "source", b.Source.String(), "reason", b.Reason.String(), "for", b.Remaining.Round(time.Second).String(), "omitted", omitted)
	}
}

// bansInForce returns the entries of the bans in force here.
func (f *Fleet) bansInForce() (entries []entry) {
	if !f.sharing.bans.Load() {
		return nil
	}
	for _, b := range f.o.Limiter.Bans(f.o.Now()) {
		if len(entries) == registerKept {
			break
		}
		entries = append(entries, banEntry(b, 0))
	}
	return entries
}
