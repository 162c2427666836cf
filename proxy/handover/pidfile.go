package handover

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// pidFile is the path of the file that names the process that serves; "" = none is
// kept.
type pidFile string

// errNotRegular reports that a pid file would replace something else.
var errNotRegular = errors.New("it is there and is no regular file: name another path")

// prove checks that write will succeed, as far as that can be known, and changes
// nothing: a process that finds out later has already taken connections, and would
// lose them.
func (f pidFile) prove() error {
	if f == "" {
		return nil
	}
	if there, err := os.Lstat(string(f)); err == nil {
		if err := f.provePresent(there); err != nil {
			return f.explain(err)
		}
	}
	temporary, err := f.temporary()
	if err != nil {
		return f.explain(err)
	}
	return f.explain(os.Remove(temporary))
}

// provePresent checks whether the file that is there can be replaced or overwritten. One
// that is immutable or can only be appended to (chattr) cannot, nor can another user's in
// a directory such as /tmp.
func (f pidFile) provePresent(there fs.FileInfo) error {
	switch {
	case !replaceable(there):
		return errNotRegular
	case !there.Mode().IsRegular():
		return nil // the file takes the link's place
	}
	file, err := os.OpenFile(string(f), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	switch {
	case err == nil:
		return file.Close()
	case errors.Is(err, syscall.EPERM), // which says that it is no matter of its mode
		errors.Is(err, syscall.EROFS): // of the file alone, which is a mount: that of its directory shows below
		return err
	case errors.Is(err, syscall.EACCES) && f.isOfOthers(there):
		return err
	}
	return nil // a new file takes its place
}

// replaceable reports whether a pid file may take the place of what is there: another
// file, or a symbolic link.
func replaceable(there fs.FileInfo) bool {
	return there.Mode().IsRegular() || there.Mode()&fs.ModeSymlink != 0
}

// isOfOthers reports whether only another user may replace the file, since its directory
// has the sticky bit.
func (f pidFile) isOfOthers(there fs.FileInfo) bool {
	directory, err := os.Stat(filepath.Dir(string(f)))
	return err == nil && directory.Mode()&fs.ModeSticky != 0 && !isOwn(directory) && !isOwn(there)
}

// isOwn reports whether a file belongs to the user of this process.
func isOwn(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// write makes the file name this process. It replaces the file in one step, so that
// a reader never finds half a number. Where that is not possible, because the disk is
// full by now or the file is a mount, it overwrites the file.
func (f pidFile) write() error {
	if f == "" {
		return nil
	}
	if there, err := os.Lstat(string(f)); err == nil && !replaceable(there) {
		return f.explain(errNotRegular)
	}
	temporary, err := f.temporary()
	if err == nil {
		if err = os.Rename(temporary, string(f)); err == nil {
			return nil
		}
		_ = os.Remove(temporary) // nothing more can be done about it
	}
	if f.overwrite() == nil {
		return nil
	}
	return f.explain(err)
}

// temporary writes a file beside it that names this process, and returns its path.
func (f pidFile) temporary() (path string, err error) {
	file, err := os.CreateTemp(filepath.Dir(string(f)), filepath.Base(string(f)))
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(strconv.Itoa(os.Getpid()))
	if err = errors.Join(err, file.Close()); err != nil {
		_ = os.Remove(file.Name()) // err says what is wrong
		return "", err
	}
	return file.Name(), nil
}

// overwrite writes into the file that is there. It needs no space on the disk.
func (f pidFile) overwrite() error {
	file, err := os.OpenFile(string(f), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	n, err := file.WriteString(strconv.Itoa(os.Getpid()))
	if err != nil {
		return err
	}
	return file.Truncate(int64(n))
}

// mostPID is more than the bytes of any process ID.
const mostPID = 32

// isOurs reports whether the file names this process. Something else may have taken its
// place, such as a pipe: reading must neither wait nor go on without end.
func (f pidFile) isOurs() bool {
	file, err := os.OpenFile(string(f), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return false
	}
	text, err := io.ReadAll(io.LimitReader(file, mostPID))
	return err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(os.Getpid())
}

// explain says which file could not be written, and what to do.
func (f pidFile) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot write the pid file %s: %w: create its directory", string(f), cause(err))
	}
	return fmt.Errorf("cannot write the pid file %s: %w", string(f), cause(err))
}

// cause is an error without the name of the temporary file.
func cause(err error) error {
	var at *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &at):
		return at.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
