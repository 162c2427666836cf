package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The configuration of the Kubernetes manifests is accepted, as a ConfigMap is mounted: a directory of links, with and
// without the component for Prometheus. Otherwise no pod starts.
func TestManifests(t *testing.T) {
	t.Parallel()
	const manifests = "../../packaging/kubernetes"
	for name, admin := range map[string]string{"base": "base/admin.toml", "servicemonitor": "components/servicemonitor/admin.toml"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mount := t.TempDir()
			if err := os.Mkdir(filepath.Join(mount, "..data"), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"base/lb.toml", admin} {
				text, err := os.ReadFile(filepath.Join(manifests, file))
				if err != nil {
					t.Fatal(err)
				}
				inside := filepath.Join("..data", filepath.Base(file))
				if err := os.WriteFile(filepath.Join(mount, inside), text, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(inside, filepath.Join(mount, filepath.Base(file))); err != nil {
					t.Fatal(err)
				}
			}
			output, err := exec.Command(filepath.Join(binaries, "mcplb"), "-c", mount, "-t").CombinedOutput()
			if err != nil || strings.Contains(string(output), "warning") {
				t.Errorf("mcplb -t: %v\n%s", err, output)
			}
		})
	}
}
