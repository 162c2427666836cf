package convert

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestTry(t *testing.T) {
	r, err := Files(Detect, strings.Fields(os.Getenv("TRY"))...)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(r.Text)
	r.Report(os.Stdout)
	fmt.Println(r.Missing)
}
