package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// makeTarget executes a target of the Makefile below a root, as an administrator whose umask is strict does.
func makeTarget(t *testing.T, target, root string) {
	t.Helper()
	command := exec.Command("sh", "-c", `umask 077 && make -C ../.. "$@"`, "sh", target, "BIN="+binaries, "DESTDIR="+root)
	command.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS") })
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("make %s: %v\n%s", target, err, output)
	}
}

// filesBelow lists the files below a root, with their modes.
func filesBelow(t *testing.T, root string) map[string]fs.FileMode {
	t.Helper()
	found := map[string]fs.FileMode{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		found[strings.TrimPrefix(path, root)] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// make install brings what docs/install.md says, readable for everybody; a second one leaves the operator's lb.toml alone;
// make uninstall takes all of it away again, but not what the operator has changed.
func TestInstallAndUninstall(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it runs other programs: the race detector sees nothing new")
	}
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is not installed")
	}
	root := t.TempDir()
	makeTarget(t, "install-files", root)
	installed := filesBelow(t, root)
	for path, mode := range map[string]fs.FileMode{
		"/usr/local/bin/mcplb": 0o755, "/usr/local/lib/systemd/system/mcplb.service": 0o644, "/usr/local/lib/sysctl.d/60-mcplb.conf": 0o644,
		"/usr/local/share/man/man1/mcplb.1": 0o644, "/usr/local/share/man/man1/mcplb-convert.1": 0o644, "/usr/local/share/bash-completion/completions/mcplb": 0o644,
		"/usr/local/share/zsh/site-functions/_mcplb": 0o644, "/usr/local/share/fish/vendor_completions.d/mcplb.fish": 0o644,
		"/etc/mcplb/lb.toml": 0o644, "/etc/logrotate.d/mcplb": 0o644,
	} {
		if installed[path] != mode {
			t.Errorf("%s has mode %v, want %v", path, installed[path], mode)
		}
	}

	const own = "# the operator's\n"
	lb := filepath.Join(root, "etc/mcplb/lb.toml")
	if err := os.WriteFile(lb, []byte(own), 0o644); err != nil {
		t.Fatal(err)
	}
	makeTarget(t, "install-files", root)
	makeTarget(t, "uninstall", root)
	if text, err := os.ReadFile(lb); err != nil || string(text) != own {
		t.Errorf("the operator's lb.toml is %q, %v", text, err)
	}
	if left := filesBelow(t, root); len(left) != 1 {
		t.Errorf("uninstall has left %v", left)
	}

	if err := os.Remove(lb); err != nil {
		t.Fatal(err)
	}
	makeTarget(t, "install-files", root)
	makeTarget(t, "uninstall", root)
	if left := filesBelow(t, root); len(left) != 0 {
		t.Errorf("uninstall has left %v", left)
	}
	if _, err := os.Stat(filepath.Join(root, "etc/mcplb")); err == nil {
		t.Error("uninstall has left /etc/mcplb, which is empty")
	}
}
