// Package holder finds the process that listens on an address, for messages about an
// address that is in use.
//
//	if found, ok := holder.Find("/proc", "127.0.0.1:8000"); ok {
//		fmt.Println(found.Name, found.PID)
//	}
//
// It reads the proc file system and nothing else. It finds what that shows to the
// user: processes of other users only for root.
package holder
