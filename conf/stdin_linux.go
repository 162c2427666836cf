//go:build linux

package conf

import (
	"os"

	"golang.org/x/sys/unix"
)

// keepStdin makes descriptor 0 a file in memory with text.
func keepStdin(text []byte) error {
	fd, err := unix.MemfdCreate("mcplb configuration", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	kept := os.NewFile(uintptr(fd), "standard input")
	defer kept.Close()
	if _, err := kept.Write(text); err != nil {
		return err
	}
	return unix.Dup3(fd, int(os.Stdin.Fd()), 0)
}
