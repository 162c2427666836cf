package metricstest

import (
	"fmt"
	"reflect"
	"testing"
	"unsafe"

	"mcplb/proxy/metrics"
)

// Complete fails t unless set, a pointer to a struct, visits every Counter and
// Max in it once, each under a unique name.
func Complete(t *testing.T, set metrics.Set) {
	t.Helper()
	v := &visited{names: map[string]int{}, places: map[unsafe.Pointer]int{}}
	set.Visit(v)
	for name, n := range v.names {
		if n > 1 {
			t.Errorf("the name %q is visited %d times", name, n)
		}
	}
	found := 0
	walk(reflect.ValueOf(set).Elem(), "", func(path string, place unsafe.Pointer) {
		found++
		if n := v.places[place]; n != 1 {
			t.Errorf("%T%s is visited %d times, want once", set, path, n)
		}
	})
	if found == 0 || len(v.places) > found {
		t.Errorf("%T has %d counters, but visits %d", set, found, len(v.places))
	}
}

// walk calls visit for every Counter and Max in v.
func walk(v reflect.Value, path string, visit func(path string, place unsafe.Pointer)) {
	switch {
	case v.Type() == reflect.TypeFor[metrics.Counter](), v.Type() == reflect.TypeFor[metrics.Max]():
		visit(path, v.Addr().UnsafePointer())
	case v.Type().PkgPath() == "sync/atomic":
		visit(path+", which is not of package metrics", nil)
	case v.Kind() == reflect.Struct:
		for field, value := range v.Fields() {
			walk(value, path+"."+field.Name, visit)
		}
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	}
}

// visited is the Visitor of Complete.
type visited struct {
	names  map[string]int
	places map[unsafe.Pointer]int
}

func (v *visited) Counter(name string, c *metrics.Counter) { v.visit(name, unsafe.Pointer(c)) }

func (v *visited) Counters(name string, counters []metrics.Counter) {
	v.names[name]++
	for i := range counters {
		v.places[unsafe.Pointer(&counters[i])]++
	}
}

func (v *visited) Max(name string, m *metrics.Max) { v.visit(name, unsafe.Pointer(m)) }

func (v *visited) visit(name string, place unsafe.Pointer) {
	v.names[name]++
	v.places[place]++
}
