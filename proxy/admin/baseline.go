package admin

import (
	"reflect"
	"sync/atomic"
)

// baseline is what counters stood at when an operator cleared them: page, JSON
// and CSV show what was counted since. The counters themselves go on, and
// /metrics shows them as they are, for Prometheus takes a counter that falls
// for a process that began anew.
type baseline struct{ snapshot atomic.Pointer[Snapshot] }

// set has everything count from what s shows.
func (b *baseline) set(s Snapshot) { b.snapshot.Store(&s) }

// subtract takes what was counted before out of s.
func (b *baseline) subtract(s *Snapshot) {
	if before := b.snapshot.Load(); before != nil {
		subtract(reflect.ValueOf(s).Elem(), reflect.ValueOf(before).Elem())
	}
}

// subtract goes through a Snapshot's parts. Its counters are its members of
// type uint64, maps of these, and those called Sum... of type float64; lists
// are matched by their members' names, or else by place. The quantiles of a
// Latency are estimated anew from what is left of its counts. Where something counts
// less than before it has begun anew, and is shown as it is.
func subtract(now, before reflect.Value) {
	switch now.Kind() {
	case reflect.Uint64:
		if now.Uint() >= before.Uint() {
			now.SetUint(now.Uint() - before.Uint())
		}
	case reflect.Pointer:
		if !now.IsNil() && !before.IsNil() {
			subtract(now.Elem(), before.Elem())
		}
	case reflect.Map:
		subtractMap(now, before)
	case reflect.Slice:
		for i := range now.Len() {
			if j := same(now.Index(i), before, i); j >= 0 {
				subtract(now.Index(i), before.Index(j))
			}
		}
	case reflect.Struct:
		subtractStruct(now, before)
	}
}

func subtractStruct(now, before reflect.Value) {
	for i := range now.NumField() {
		field := now.Type().Field(i)
		switch {
		case !field.IsExported():
		case field.Type.Kind() == reflect.Float64:
			if field.Name == "SumSeconds" && now.Field(i).Float() >= before.Field(i).Float() {
				now.Field(i).SetFloat(now.Field(i).Float() - before.Field(i).Float())
			}
		default:
			subtract(now.Field(i), before.Field(i))
		}
	}
	if l, ok := now.Addr().Interface().(*Latency); ok {
		l.estimate()
	}
}

func subtractMap(now, before reflect.Value) {
	if now.Type().Elem().Kind() != reflect.Uint64 {
		return
	}
	for _, key := range now.MapKeys() {
		old := before.MapIndex(key)
		if n := now.MapIndex(key).Uint(); old.IsValid() && n >= old.Uint() {
			now.SetMapIndex(key, reflect.ValueOf(n-old.Uint()))
		}
	}
}

// same finds the one of list that item was before, -1 if it is new.
func same(item, list reflect.Value, place int) int {
	if item.Kind() != reflect.Struct || !item.FieldByName("Name").IsValid() {
		if place < list.Len() {
			return place
		}
		return -1
	}
	name := item.FieldByName("Name").String()
	if place < list.Len() && list.Index(place).FieldByName("Name").String() == name {
		return place
	}
	for j := range list.Len() {
		if list.Index(j).FieldByName("Name").String() == name {
			return j
		}
	}
	return -1
}
