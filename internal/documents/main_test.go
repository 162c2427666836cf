package documents

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"mcplb/internal/leak"
)

var (
	// binaries is the directory of the programs, built by TestMain.
	binaries string

	// lifetime is closed only by the kernel, when this process ends.
	lifetime io.WriteCloser
)

func TestMain(m *testing.M) {
	if err := buildPrograms(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	leak.Main(m)
}

// buildPrograms builds into a directory that is removed when this process has ended,
// for whatever reason.
func buildPrograms() (err error) {
	if binaries, err = os.MkdirTemp("", "documents-"); err != nil {
		return err
	}
	remover := exec.Command("sh", "-c", `read -r _; rm -rf -- "$0"`, binaries)
	remover.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // not ended by Ctrl-C
	if lifetime, err = remover.StdinPipe(); err != nil {
		return err
	}
	if err := remover.Start(); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binaries+string(filepath.Separator), "mcplb/cmd/...")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the programs: %w\n%s", err, output)
	}
	return nil
}
