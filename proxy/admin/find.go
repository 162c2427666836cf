package admin

import "slices"

// named is a part of a Snapshot that has a name.
type named interface{ named() string }

func (f Frontend) named() string { return f.Name }
func (b Backend) named() string  { return b.Name }
func (s Server) named() string   { return s.Name }
func (n Name) named() string     { return n.Name }

// find returns the item of that name, or nil. It looks at place first, where the
// item usually is.
func find[T named](list []T, name string, place int) *T {
	if place < len(list) && list[place].named() == name {
		return &list[place]
	}
	if i := slices.IndexFunc(list, func(item T) bool { return item.named() == name }); i >= 0 {
		return &list[i]
	}
	return nil
}
