package conf

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLoadRefusesWhatIsNoFile checks that what is no file, or too large a one, is
// refused at once: otherwise a mistyped -c or a file replaced by a pipe takes all
// memory, or hangs a reload for ever.
func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	in := func(name string) string { return filepath.Join(directory, name) }
	if err := syscall.Mkfifo(in("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", in("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := os.WriteFile(in("huge"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(in("huge"), mostConfig+1); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("pipe", in("link")); err != nil {
		t.Fatal(err)
	}
	const file = "it must be a regular file of at most 16 MiB"
	for path, want := range map[string]string{
		directory: "is a directory without a file *.toml", in("pipe"): "is a pipe: " + file, in("link"): "is a pipe: " + file,
		in("socket"): "is a socket: " + file, in("huge"): "is too large: " + file,
		"/dev/zero": "is a device: " + file, "/dev/null": "is a device: " + file,
		in("absent"): "cannot be read: no such file or directory",
	} {
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "reading the configuration: ") {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// TestLoadWaiting checks that a file which calls itself regular, but waits for something
// to say, does not stop a start or a reload (issue 12, C9).
func TestLoadWaiting(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/proc/kmsg", "/sys/kernel/tracing/trace_pipe"} {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if _, err := Load(path); err == nil { // or it may not be read by this user
			t.Errorf("%s is a configuration", path)
		}
	}
}

// TestLoadLargest checks that a file of exactly the size allowed is read.
func TestLoadLargest(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lb.toml")
	text := minimal + "\n#" + strings.Repeat("x", mostConfig-len(minimal)-3) + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
}
