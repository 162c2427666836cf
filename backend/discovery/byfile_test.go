package discovery

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/kubeapi"
)

const oneServer = "[[server]]\nname = \"a\"\ntcp = \"10.0.0.1:1\"\n"

const twoServers = oneServer + "[[server]]\nname = \"b\"\ntcp = \"10.0.0.2:1\"\n"

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func fileWith(t *testing.T, text string) (path string, o observed) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "servers.toml")
	put(t, path, text)
	return path, observe(t, &conf.Discover{File: path, Weight: 7, MaxConn: 9}, nil, State{})
}

// A file is read again when it is replaced, written in place or gone and back.
func TestFileChanges(t *testing.T) {
	t.Parallel()
	path, o := fileWith(t, oneServer)
	o.await(t, "a=10.0.0.1:1")
	if s := o.State().Servers[0]; s.Weight != 7 || s.MaxConn != 9 {
		t.Errorf("weight %d, maxconn %d: the settings' hold for servers that do not say", s.Weight, s.MaxConn)
	}
	put(t, path+".new", twoServers)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	o.await(t, "a=10.0.0.1:1 b=10.0.0.2:1")
	put(t, path, oneServer)
	o.await(t, "a=10.0.0.1:1")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	o.awaitError(t, "no such file")
	o.await(t, "a=10.0.0.1:1")
	put(t, path, twoServers)
	o.await(t, "a=10.0.0.1:1 b=10.0.0.2:1")
	o.awaitError(t, "")
	put(t, path, "servers = []\n")
	o.await(t, "")
}

// A file that is being written is not read, however long its writer pauses between two
// servers: half of it would take the other half out of service.
func TestHalfWrittenFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "servers.toml")
	put(t, path, twoServers)
	f := &byFile{settings: &conf.Discover{File: path}}
	events := newNotifier(path)
	defer events.close()
	events.follow()
	now := time.Now()
	f.look(now, events)
	f.reported = true
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, piece := range []string{"", oneServer, "[[server]]\nname = \"c\"\ntcp = \"10.0.0.3:1\"\n"} {
		if _, err := file.WriteString(piece); err != nil {
			t.Fatal(err)
		}
		kubeapi.Await(t, "the kernel reports a writer", events.writing)
		for range 3 {
			if f.look(now, events) {
				t.Errorf("half a file would be read, %v after its last change", now.Sub(f.seenAt))
			}
			now = now.Add(2 * settleTime)
		}
	}
	if now = now.Add(writeTime); !f.look(now, events) {
		t.Error("a writer that never closes the file hides it for ever")
	}
	f.reported = false
	file.Close()
	kubeapi.Await(t, "the kernel reports the end", events.closed)
	if f.look(now, events); !f.look(now.Add(drainTime), events) {
		t.Error("a complete file is not read")
	}
}

// What is broken changes nothing and is reported with file and line.
func TestBrokenFile(t *testing.T) {
	t.Parallel()
	path, o := fileWith(t, oneServer)
	for _, test := range []struct{ text, says string }{
		{"[[server]]\nname = \"a\"\n", "servers.toml:1: server[0]: has no address"},
		{"[[server]\n", "servers.toml:1"},
		{"", "0 bytes"},
		{"# nothing\n", "servers = [] if there are none"},
		{oneServer + oneServer, "is the name of another server"},
		{"[[server]]\nname = \"a\"\ntcp = \"10.0.0.1:1\"\nweihgt = 3\n", "did you mean \"weight\""},
		{"servers = 3\n", "must be an array of tables"},
	} {
		put(t, path, test.text)
		o.awaitError(t, test.says)
		o.await(t, "a=10.0.0.1:1")
	}
	put(t, path, twoServers)
	o.await(t, "a=10.0.0.1:1 b=10.0.0.2:1")
}

// Kubernetes mounts a ConfigMap by links, and replaces the middle one.
func TestConfigMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := func(name, text string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, name, "servers.toml"), text)
	}
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", oneServer)
	link("..1", "..data")
	link("..data/servers.toml", "servers.toml")
	o := observe(t, &conf.Discover{File: filepath.Join(dir, "servers.toml")}, nil, State{})
	o.await(t, "a=10.0.0.1:1")
	for i, text := range []string{twoServers, oneServer} {
		name := "..new" + string(rune('0'+i))
		version(name, text)
		link(name, "..data_tmp")
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		o.await(t, map[string]string{oneServer: "a=10.0.0.1:1", twoServers: "a=10.0.0.1:1 b=10.0.0.2:1"}[text])
	}
}

// What another process has found stays while the source is silent.
func TestKnownBefore(t *testing.T) {
	t.Parallel()
	known := State{Servers: []conf.Server{{Name: "a", TCP: "10.0.0.1:1"}}, At: time.Now()}
	o := observe(t, &conf.Discover{File: filepath.Join(t.TempDir(), "absent.toml")}, nil, known)
	o.awaitError(t, "no such file")
	o.await(t, "a=10.0.0.1:1")
}
