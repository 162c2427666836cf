package handover

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"mcplb/proxy/accesslog"
	"mcplb/proxy/l4"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// someRecords returns n relayed connections, with or without their access log
// records.
func someRecords(n int, logged bool) []Record {
	all := make([]Record, n)
	for i := range all {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), uint16(1024+i))
		all[i] = Record{
			Frontend: "mcp", Two: true,
			Holding:  Holding{Slot: SlotKey{Server: uint32(i%8 + 1), Entry: uint32(i)}, Source: uint64(i) << 32, Limited: true},
			Detached: int64(12*time.Hour) + int64(i),
			Stream: &l4.Handover{
				Client: session.ClientState{From: from, Since: int64(11 * time.Hour)}, Relaying: true,
				Relay: l4.RelayHandover{RelayState: l4.RelayState{
					Last: int64(12 * time.Hour), Up: l4.Half{Flags: 3}, Down: l4.Half{Flags: 5}, Answers: true,
				}},
			},
		}
		if logged {
			all[i].Stream.Log = &accesslog.Record{
				Client: from, Frontend: "mcp", Backend: "nodes", Server: fmt.Sprint("node-", i%8),
				Began: int64(11 * time.Hour), Request: accesslog.None, Queue: accesslog.None,
				Connect: 250 * time.Microsecond, Response: 3 * time.Millisecond,
				BytesIn: 12_345, BytesOut: 6_789_012, MessagesIn: 42, MessagesOut: 4242,
				DialedAt: int64(11*time.Hour) + 1000, ConnectedAt: int64(11*time.Hour) + 251_000,
			}
			all[i].Stream.Log.SetTarget([]byte("POST"), []byte("/mcp/v1/messages"))
		}
	}
	return all
}

// A batch is encoded by the old process and decoded by the new one. Besides the
// elapsed time it reports the processor time, which other programs on the machine
// hardly affect.
func BenchmarkBatch(b *testing.B) {
	const connections = 120
	for _, log := range []string{"off", "on"} {
		b.Run("log="+log, func(b *testing.B) {
			records := someRecords(connections, log == "on")
			var e encoder
			var d decoder
			size := 0
			began := processorTime(b)
			for b.Loop() {
				payload, err := e.encode(records)
				if err != nil {
					b.Fatal(err)
				}
				size = len(payload)
				var received []Record
				if err := d.decode(payload, &received); err != nil || len(received) != connections {
					b.Fatal(len(received), err)
				}
			}
			per := 1 / (float64(b.N) * connections)
			b.ReportMetric(float64(b.Elapsed())*per, "ns/connection")
			b.ReportMetric(float64(processorTime(b)-began)*per, "cpu-ns/connection")
			b.ReportMetric(float64(size)/connections, "B/connection")
		})
	}
}

// processorTime is what this process has used (getrusage(2)).
func processorTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
