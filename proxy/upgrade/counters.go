//go:build linux

package upgrade

import (
	"fmt"
	"reflect"
	"sync/atomic"
	"unsafe"
)

// Counts are counters by their names: the path of fields and indexes to each.
// Those at zero are left out.
type Counts map[string]uint64

var counterType = reflect.TypeFor[atomic.Uint64]()

// greatest is the name of fields that keep a maximum, which is no sum.
const greatest = "max"

// Add adds every atomic.Uint64 in the struct that counters points to. So
// whoever counts something new need not think of upgrades.
func (c Counts) Add(counters any) {
	walk(reflect.ValueOf(counters).Elem(), "", func(name string, isMax bool, n *atomic.Uint64) {
		switch value := n.Load(); {
		case value == 0:
		case isMax:
			c[name] = max(c[name], value)
		default:
			c[name] += value
		}
	})
}

// Since returns what was counted since before was taken. A maximum stays what
// it is.
func (c Counts) Since(before Counts) Counts {
	grown := Counts{}
	for name, n := range c {
		switch was := before[name]; {
		case n == was:
		case hasMax(name):
			grown[name] = n
		default:
			grown[name] = n - was
		}
	}
	return grown
}

// Restore adds the counts to those in the struct that counters points to. It
// must be called where these are added to. Names that it does not have are left
// out.
func (c Counts) Restore(counters any) {
	walk(reflect.ValueOf(counters).Elem(), "", func(name string, isMax bool, n *atomic.Uint64) {
		if isMax {
			n.Store(max(n.Load(), c[name]))
			return
		}
		n.Add(c[name])
	})
}

func hasMax(name string) bool {
	return len(name) > len(greatest) && name[len(name)-len(greatest)-1:] == "."+greatest
}

// walk calls visit for every counter in v.
func walk(v reflect.Value, name string, visit func(name string, isMax bool, n *atomic.Uint64)) {
	switch {
	case v.Type() == counterType:
		visit(name, hasMax(name), (*atomic.Uint64)(unsafe.Pointer(v.UnsafeAddr())))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), name+"."+v.Type().Field(i).Name, visit)
		}
	case v.Kind() == reflect.Array && holdsCounters(v.Type().Elem()):
		for i := range v.Len() {
			walk(v.Index(i), fmt.Sprint(name, ".", i), visit)
		}
	}
}

// holdsCounters tells whether it is worth to look into the elements of an array:
// not into padding.
func holdsCounters(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Array
}
