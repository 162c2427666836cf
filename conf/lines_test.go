package conf

import (
	"strings"
	"testing"
)

func TestPositions(t *testing.T) {
	t.Parallel()
	p := locate([]byte(`# 1
a = 1
[t]  # 3
b.c = 2
"d.e" = 3
list = [
  "one", # 7
  { x = 1,
    y = [10,
      11] },
]
[[t.s]]
name = 13
[[t.s]]
[t.s.sub]
name = 16
[late.sub]
[late] # 18
z = 19
[[t.s.deep]]
[[t.s.deep]]
q = 22`))
	for path, line := range map[string]int{
		"a": 2, "t": 3, "t.b": 4, "t.b.c": 4, `t."d.e"`: 5, "t.list": 6, "t.list[0]": 7, "t.list[1]": 8, "t.list[1].x": 8,
		"t.list[1].y": 9, "t.list[1].y[0]": 9, "t.list[1].y[1]": 10, "t.s[0]": 12, "t.s[0].name": 13, "t.s[1]": 14,
		"t.s[1].sub": 15, "t.s[1].sub.name": 16, "late.sub": 17, "late": 18, "late.z": 19,
		"t.s[1].deep[0]": 20, "t.s[1].deep[1]": 21, "t.s[1].deep[1].q": 22,
	} {
		if !p.names(path) {
			t.Errorf("%s has no position", path)
		}
		if got := p.line(path); got != line {
			t.Errorf("%s is in line %d, want %d", path, got, line)
		}
	}
	// What is missing stands where the table around it does.
	for path, line := range map[string]int{
		"t.missing": 3, "t.s[1].missing": 14, "t.s[7].missing": 12, "missing": 1, "missing.missing[3].x": 1, "": 1, `t."x.y".z`: 3,
	} {
		if got := p.line(path); got != line || p.names(path) {
			t.Errorf("%s, which is missing, is in line %d, want %d", path, got, line)
		}
	}
	if len(p.conflicts) > 0 {
		t.Errorf("conflicts: %v", p.conflicts)
	}
}

// TestPositionsDeep holds that depth costs no more than it is worth.
func TestPositionsDeep(t *testing.T) {
	t.Parallel()
	const deep = 5000
	for name, text := range map[string]string{
		"arrays": "a = " + strings.Repeat("[", deep) + strings.Repeat("]", deep),
		"tables": "a = " + strings.Repeat("{ a = ", deep) + "1" + strings.Repeat("}", deep),
		"dotted": strings.Repeat("a.", deep) + "a = 1",
		"header": "[" + strings.Repeat("a.", deep) + "a]",
		"long":   strings.Repeat("a", deep) + ".b = 1",
	} {
		for path := range locate([]byte(text)).at {
			if len(path) > longestPath+deep+10 {
				t.Errorf("%s: a path of %d bytes", name, len(path))
			}
		}
		if _, err := Parse("x", []byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
