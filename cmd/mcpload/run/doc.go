// Package run is one run of load, from the first client to the report:
//
//	o := run.Defaults()
//	o.Clients, o.Addresses[clients.TCP] = 9000, "127.0.0.1:8000"
//	report, err := run.Do(ctx, &o, os.Stderr)
//
// A run has four phases: ramp (sessions are opened at a set rate), load (each client
// sends a message every interval), monitor (all sessions are silent, and then each
// client sends one more message), report. During the load a fault can be
// caused and repaired by commands.
//
// Latencies are measured from the sending of a message to the reading of its answer.
// A message that could not be sent in time, because the previous answer was late,
// counts with the time that it had to wait.
package run
