// Package doctor examines whether a machine can do what a configuration asks of
// it: open files, addresses to listen on, ports, kernel settings, the clock,
// certificates, names, and servers that can be reached from here and pass their
// check. Each finding says what to do.
//
//	for _, f := range doctor.Examine(ctx, config, doctor.ThisMachine()) {
//		fmt.Println(f.Level, f.Subject, f.Text, f.Advice)
//	}
//
// It only looks: it changes nothing. A server sees a connection that is closed at
// once, and one health check. An address to listen on is bound for a moment, which no
// client sees. It does not ask a running balancer.
package doctor
