package handover

import "testing"

// Every malformed message is an error, and no descriptor stays open.
func TestMalformed(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string][]byte{
		"too long":        {byte(KindBatch), 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		"no descriptors":  {byte(KindBatch), 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0},
		"cut in the head": {byte(KindBatch), 0, 0},
		"cut behind it":   {byte(KindBatch), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1},
	} {
		near, far, err := pair()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := far.Write(bytes); err != nil {
			t.Fatal(err)
		}
		far.Close()
		if m, err := near.Receive(); err == nil {
			t.Errorf("%s: received %+v", name, m)
		}
		near.Close()
	}
}
