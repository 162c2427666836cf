package holder

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Holder is a process that listens on an address.
type Holder struct {
	PID  int
	Name string // of its program
	Self bool   // it is this process
}

// Find finds the process that listens on an address, or on one that excludes
// it, as far as the proc file system shows it: it shows processes of other users
// only to root, and those of other namespaces not at all. proc is its path, /proc.
func Find(proc, address string) (Holder, bool) {
	wanted, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return Holder{}, false
	}
	for _, table := range []string{"tcp", "tcp6"} {
		for _, socket := range listeningSockets(filepath.Join(proc, "net", table)) {
			if !excludes(socket.address, wanted.AddrPort()) {
				continue
			}
			if found, ok := socketHolder(proc, socket.inode); ok {
				return found, true
			}
		}
	}
	return Holder{}, false
}

// excludes reports whether a socket on one address prevents listening on another.
func excludes(taken, wanted netip.AddrPort) bool {
	a, b := taken.Addr().Unmap(), wanted.Addr().Unmap()
	return taken.Port() == wanted.Port() && (a == b || a.IsUnspecified() || !b.IsValid() || b.IsUnspecified())
}

// listeningSocket is a line of /proc/net/tcp or tcp6 (proc(5)).
type listeningSocket struct {
	address netip.AddrPort
	inode   string
}

// listeningSockets reads one of the kernel's tables. Entries that cannot be read are
// left out.
func listeningSockets(path string) []listeningSocket {
	const localAddress, state, inode, listening = 1, 3, 9, "0A"
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	var sockets []listeningSocket
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) <= inode || fields[state] != listening {
			continue
		}
		if address, err := parseProcAddress(fields[localAddress]); err == nil {
			sockets = append(sockets, listeningSocket{address, fields[inode]})
		}
	}
	return sockets
}

// parseProcAddress parses an address of /proc/net/tcp: 32-bit words in the byte
// order of the machine, in hexadecimal, and the port.
func parseProcAddress(s string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(s, ":")
	bytes, err := hex.DecodeString(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: %w", s, err)
	}
	if len(bytes) != 4 && len(bytes) != 16 {
		return netip.AddrPort{}, fmt.Errorf("address %q has %d bytes", s, len(bytes))
	}
	for word := range slices.Chunk(bytes, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	address, _ := netip.AddrFromSlice(bytes)
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("port of %q: %w", s, err)
	}
	return netip.AddrPortFrom(address, uint16(number)), nil
}

// socketHolder finds a process with an open socket of that inode.
func socketHolder(proc, inode string) (Holder, bool) {
	descriptors, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return Holder{}, false
	}
	for _, descriptor := range descriptors {
		if target, err := os.Readlink(descriptor); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		process := filepath.Dir(filepath.Dir(descriptor))
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			continue
		}
		return Holder{PID: pid, Name: processName(process), Self: pid == os.Getpid()}, true
	}
	return Holder{}, false
}

func processName(process string) string {
	name, err := os.ReadFile(filepath.Join(process, "comm"))
	if err != nil {
		return "a process"
	}
	return strings.TrimSpace(string(name))
}
