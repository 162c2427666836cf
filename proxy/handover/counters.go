package handover

import (
	"fmt"
	"reflect"
	"sync/atomic"
	"unsafe"
)

// Counts are counters by their names: the path of fields and indexes to each.
// Those at zero are left out.
type Counts map[string]uint64

// Layouts know where structs have their counters: every atomic.Uint64 in them, so
// that whoever counts something new need not think of upgrades. The zero Layouts
// are ready for use, by one goroutine at a time.
type Layouts struct {
	known map[reflect.Type]*layout
}

// layout is where one type has its counters.
type layout struct {
	list   []counter
	byName map[string]int // places in list
}

// counter is a counter's place in a struct.
type counter struct {
	name   string
	offset uintptr
	isMax  bool
}

var counterType = reflect.TypeFor[atomic.Uint64]()

// greatest is the name of fields that keep a maximum, which is no sum.
const greatest = "max"

// Add adds to c what stands in the struct that counters points to.
func (l *Layouts) Add(c Counts, counters any) {
	at, base := l.of(counters)
	for i := range at.list {
		one := &at.list[i]
		switch value := one.in(base).Load(); {
		case value == 0:
		case one.isMax:
			c[one.name] = max(c[one.name], value)
		default:
			c[one.name] += value
		}
	}
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

// Restore adds c to the counters in the struct that counters points to. It must
// be called where these are added to. Names that it does not have are left out.
func (l *Layouts) Restore(c Counts, counters any) {
	at, base := l.of(counters)
	for name, value := range c {
		i, known := at.byName[name]
		if !known {
			continue
		}
		one := &at.list[i]
		if n := one.in(base); one.isMax {
			n.Store(max(n.Load(), value))
		} else {
			n.Add(value)
		}
	}
}

// of finds the layout of the struct that counters points to, and where that is.
func (l *Layouts) of(counters any) (*layout, unsafe.Pointer) {
	v := reflect.ValueOf(counters)
	at := l.known[v.Type()]
	if at == nil {
		at = &layout{byName: map[string]int{}}
		at.add(v.Type().Elem(), "", 0)
		if l.known == nil {
			l.known = map[reflect.Type]*layout{}
		}
		l.known[v.Type()] = at
	}
	return at, v.UnsafePointer()
}

// in is the counter in a struct.
func (c *counter) in(base unsafe.Pointer) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Add(base, c.offset))
}

func hasMax(name string) bool {
	return len(name) > len(greatest) && name[len(name)-len(greatest)-1:] == "."+greatest
}

// add adds the counters of a type that stands at an offset.
func (l *layout) add(t reflect.Type, name string, offset uintptr) {
	switch {
	case t == counterType:
		l.byName[name] = len(l.list)
		l.list = append(l.list, counter{name, offset, hasMax(name)})
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			field := t.Field(i)
			l.add(field.Type, name+"."+field.Name, offset+field.Offset)
		}
	case t.Kind() == reflect.Array && holdsCounters(t.Elem()):
		for i := range t.Len() {
			l.add(t.Elem(), fmt.Sprint(name, ".", i), offset+uintptr(i)*t.Elem().Size())
		}
	}
}

// holdsCounters tells whether it is worth to look into the elements of an array:
// not into padding.
func holdsCounters(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Array
}
