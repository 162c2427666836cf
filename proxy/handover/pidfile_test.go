package handover

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A pid file that cannot be written is found out in advance, with what is wrong: later
// it would cost all connections that have moved.
func TestPIDFileProved(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	fifo := filepath.Join(directory, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                                      `^$`,
		filepath.Join(directory, "pid"):         `^$`,
		directory:                               `cannot write the pid file .*: it is there and is no regular file: name another path`,
		fifo:                                    `no regular file`,
		"/dev/full":                             `no regular file`,
		filepath.Join(directory, "none", "pid"): `none/pid: no such file or directory: create its directory`,
		filepath.Join(fifo, "pid"):              `fifo/pid: not a directory`,
		"/proc/pid":                             `/proc/pid: `,
	} {
		text := ""
		if err := pidFile(path).prove(); err != nil {
			text = err.Error()
		}
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("%q: %q, want %s", path, text, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(directory, "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// The file always has one whole number, however it is written.
func TestPIDFileWritten(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	// Beside this name there is no room for a temporary file's: what is there is
	// overwritten, as on a full disk.
	long := filepath.Join(directory, strings.Repeat("p", 250))
	for _, path := range []string{filepath.Join(directory, "pid"), long} {
		f := pidFile(path)
		if err := os.WriteFile(path, []byte("1234567890"), 0o600); err != nil {
			t.Fatal(err)
		}
		if f.isOurs() {
			t.Error("it names another process")
		}
		if err := f.write(); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != strconv.Itoa(os.Getpid()) || !f.isOurs() {
			t.Errorf("it has %q, %v", text, err)
		}
	}
	if err := os.Remove(long); err != nil {
		t.Fatal(err)
	}
	if err := pidFile(long).write(); err == nil || !strings.Contains(err.Error(), "file name too long") {
		t.Errorf("written to a name that is too long: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(directory, "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// A file that nobody can change (chattr) is found out in advance, too: the temporary file
// beside it tells nothing of that, and a process whose pid file names another one cannot
// be reloaded by it.
func TestPIDFileImmutable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(path, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []int{unix.STATX_ATTR_IMMUTABLE, unix.STATX_ATTR_APPEND} { // the same bits as for chattr
		if err := setFlags(path, flag); err != nil {
			t.Skipf("no such attributes here: %v", err)
		}
		err := pidFile(path).prove()
		if errBack := setFlags(path, 0); errBack != nil {
			t.Fatal(errBack)
		}
		if err == nil || !strings.Contains(err.Error(), "operation not permitted") {
			t.Errorf("attributes %#x: %v", flag, err)
		}
	}
	if err := pidFile(path).prove(); err != nil {
		t.Errorf("without attributes: %v", err)
	}
}

func setFlags(path string, flags int) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return unix.IoctlSetPointerInt(int(file.Fd()), unix.FS_IOC_SETFLAGS, flags)
}

// Something else takes the file's place while the process serves: it is neither read,
// which waits for ever for a pipe's writer and does not end for /dev/zero, nor replaced.
// The process would obey no signal after an upgrade that such a file made fail.
func TestPIDFileOfAnotherKind(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	pipe, zero := filepath.Join(directory, "pipe"), filepath.Join(directory, "zero")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Symlink("/dev/zero", zero)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, zero, directory} {
		if pidFile(path).isOurs() {
			t.Errorf("%s names this process", path)
		}
	}
	for _, path := range []string{pipe, directory} {
		if err := pidFile(path).write(); !errors.Is(err, errNotRegular) {
			t.Errorf("%s is written: %v", path, err)
		}
	}
	if info, err := os.Lstat(pipe); err != nil || info.Mode().IsRegular() {
		t.Errorf("the pipe was replaced: %v, %v", info, err)
	}
}

// A file that is a mount by itself, as in a container, cannot be replaced, only
// overwritten: one that is mounted read-only is found out in advance.
func TestPIDFileMounted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(path, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(path, path, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("mounting a file: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f := pidFile(path)
	if err := errors.Join(f.prove(), f.write()); err != nil || !f.isOurs() {
		t.Errorf("a mounted file: %v", err)
	}
	if err := syscall.Mount("", path, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := f.prove(); err == nil || !strings.Contains(err.Error(), "read-only file system") {
		t.Errorf("mounted read-only: %v", err)
	}
}
