//go:build linux

package upgrade

import (
	"testing"

	"mcplb/testdata/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
