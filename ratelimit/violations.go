package ratelimit

import (
	"sync/atomic"
	"time"
)

// violations counts violations within a minute of the first, in one word: the
// upper 43 bits are the time of the first, in units of 2^20 nanoseconds (about a
// millisecond), the lower 21 their number. The zero value is none.
type violations struct {
	word atomic.Uint64
}

// immune is the word of a source whose violations are not counted. No clock comes
// so far: its bit is 146 years.
const immune = 1 << 63

const (
	maxViolations   = 1<<21 - 1
	violationUnit   = 20 // bits of a nanosecond clock that are dropped
	violationMinute = int64(time.Minute) >> violationUnit
)

// add counts one and returns how many that makes, at most maxViolations; 0 for a
// source that is immune.
func (v *violations) add(now int64) int {
	for {
		word := v.word.Load()
		if word == immune {
			return 0
		}
		first, count := word>>21, word&maxViolations
		if violationsLapsed(word, now) {
			first, count = uint64(now)>>violationUnit, 0
		}
		count = min(count+1, maxViolations)
		if v.word.CompareAndSwap(word, first<<21|count) {
			return int(count)
		}
	}
}

// lapsed reports whether the minute is over, so that none counts any more.
func (v *violations) lapsed(now int64) bool { return violationsLapsed(v.word.Load(), now) }

func violationsLapsed(word uint64, now int64) bool {
	return word&maxViolations == 0 || now>>violationUnit-int64(word>>21) > violationMinute
}

func (v *violations) reset() { v.word.Store(0) }

// waive makes the source immune, until it is forgotten.
func (v *violations) waive() { v.word.Store(immune) }
