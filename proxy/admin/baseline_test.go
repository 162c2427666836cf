package admin

import (
	"reflect"
	"testing"
)

// A Snapshot from which itself is subtracted has no counter above zero. Counters
// are the members of type uint64, maps of these, and SumSeconds.
func TestBaselineSubtractsEveryCounter(t *testing.T) {
	t.Parallel()
	full := func() Snapshot {
		var s Snapshot
		fill(reflect.ValueOf(&s).Elem())
		return s
	}
	var b baseline
	b.set(full())
	s := full()
	b.subtract(&s)
	checkSubtracted(t, "Snapshot", reflect.ValueOf(s))
}

func TestBaselineAfterChanges(t *testing.T) {
	t.Parallel()
	var b baseline
	b.set(Snapshot{
		Frontends: []Frontend{{Name: "a", MessagesDelayed: 5}, {Name: "b", MessagesDelayed: 7, HTTP: &HTTP{Requests: 1}}},
		Loops:     []Loop{{Turns: 3}},
	})
	s := Snapshot{
		Frontends: []Frontend{{Name: "b", MessagesDelayed: 9}, {Name: "new", MessagesDelayed: 2}, {Name: "a", MessagesDelayed: 4}},
		Loops:     []Loop{{Turns: 5}, {Turns: 8}},
	}
	b.subtract(&s)
	for i, want := range []uint64{2, 2, 4} { // counters of a have restarted
		if got := s.Frontends[i].MessagesDelayed; got != want {
			t.Errorf("frontend %s: %d, want %d", s.Frontends[i].Name, got, want)
		}
	}
	if s.Loops[0].Turns != 2 || s.Loops[1].Turns != 8 {
		t.Errorf("loops: %+v", s.Loops)
	}
}

// fill sets everything in v to something.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(7)
	case reflect.String:
		v.SetString("x")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value)
		v.SetMapIndex(reflect.ValueOf("x"), value)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	}
}

func checkSubtracted(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Uint64:
		if v.Uint() != 0 {
			t.Errorf("%s is %d, want 0", path, v.Uint())
		}
	case reflect.Pointer:
		checkSubtracted(t, path, v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			checkSubtracted(t, path, v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			checkSubtracted(t, path, v.MapIndex(key))
		}
	case reflect.Struct:
		for field, value := range v.Fields() {
			if field.IsExported() {
				checkSubtracted(t, path+"."+field.Name, value)
			}
			if field.Name == "SumSeconds" && value.Float() != 0 {
				t.Errorf("%s.%s is %v, want 0", path, field.Name, value)
			}
		}
	}
}
