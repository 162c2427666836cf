package holder

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// A directory stands in for the proc file system.
func TestFindHolder(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(proc, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	write("net/tcp", head+
		"   0: 0B00007F:2329 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1\n"+
		"   1: 0100007F:1F40 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 101 1\n"+
		"   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 102 1\n"+
		"   3: nonsense 0\n   4: XY:Z 0 0A 0 0 0 0 0 0 103\n   5: 0100:0050 0 0A 0 0 0 0 0 0 103\n")
	write("net/tcp6", head+
		"   0: 00000000000000000000000001000000:0051 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 104 1\n")
	for pid, socket := range map[string]string{"7": "100", "8": "101", "9": "102", "10": "104", "nopid": "100"} {
		write(filepath.Join(pid, "comm"), "program"+pid+"\n")
		descriptors := filepath.Join(proc, pid, "fd")
		if err := errors.Join(os.Mkdir(descriptors, 0o755), os.Symlink("socket:["+socket+"]", filepath.Join(descriptors, "3"))); err != nil {
			t.Fatal(err)
		}
	}
	for address, want := range map[string]string{
		"127.0.0.11:9001": "program7", // the same address
		":9001":           "program7", // every address includes it
		"0.0.0.0:9001":    "program7",
		"127.0.0.12:9001": "", // another address
		"127.0.0.1:8000":  "", // a connection, not a listener
		"127.0.0.1:80":    "program9",
		"[::1]:81":        "program10",
		"nonsense":        "",
	} {
		got, ok := Find(proc, address)
		if ok != (want != "") || got.Name != want {
			t.Errorf("%s is held by %+v, %v; want %q", address, got, ok, want)
		}
	}
}

func FuzzParseProcAddress(f *testing.F) {
	for _, seed := range []string{"0B00007F:2329", "00000000000000000000000001000000:0051", "", ":", "0B00007F", "xx:yy"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if address, err := parseProcAddress(s); err == nil && !address.IsValid() {
			t.Errorf("%q is read as an invalid address without an error", s)
		} else if err != nil && address != (netip.AddrPort{}) {
			t.Errorf("%q gives both %v and %v", s, address, err)
		}
	})
}
