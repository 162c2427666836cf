// Package doctor examines whether a machine can do what a configuration asks of
// it: open files, ports, kernel settings, the clock, certificates, names, and
// servers that can be reached from here. Each finding says what to do.
//
//	for _, f := range doctor.Examine(ctx, config, doctor.ThisMachine()) {
//		fmt.Println(f.Level, f.Subject, f.Text, f.Advice)
//	}
//
// It only looks: it changes nothing, and a server sees a connection that is
// closed at once. It does not ask a running balancer.
package doctor
