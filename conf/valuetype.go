package conf

import (
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// valueType is a type of value: how it is read from the file and how it is shown
// in a log line. Two values are shown alike only if they are equal.
type valueType[V any] struct {
	// read returns the value of raw, which the TOML library decoded. It reports
	// a mistake in raw, or in one of its elements, by calling fail; then its
	// result is not used.
	read func(raw any, fail failure) V
	show func(V) string

	schema node // what an editor may check
}

// in returns t with a schema.
func (t valueType[V]) in(schema node) valueType[V] {
	t.schema = schema
	return t
}

// failure reports a mistake at a place in a value: "" is the value itself, "[2]"
// its third element.
type failure func(place, reason string)

// scalar is a type whose read reports at most one mistake, in the value itself.
func scalar[V any](read func(raw any) (V, error), show func(V) string) valueType[V] {
	return valueType[V]{
		read: func(raw any, fail failure) V {
			v, err := read(raw)
			if err != nil {
				fail("", err.Error())
			}
			return v
		},
		show: show,
	}
}

// word is a type of string. check returns its canonical form, or an error.
func word(want string, check func(string) (string, error)) valueType[string] {
	return scalar(func(raw any) (string, error) {
		s, ok := raw.(string)
		if !ok {
			return "", mustBe(want, raw)
		}
		return check(s)
	}, strconv.Quote).in(node{"type": "string"})
}

// listOf is a list of values of one type, without duplicates.
func listOf[V any](of valueType[V], example string) valueType[[]V] {
	return valueType[[]V]{
		read: func(raw any, fail failure) []V {
			list, ok := elements(raw)
			if !ok {
				fail("", mustBe("a list, such as "+example, raw).Error())
			}
			return readElements(of, list, fail)
		},
		show: func(list []V) string {
			shown := make([]string, len(list))
			for i, v := range list {
				shown[i] = of.show(v)
			}
			return "[" + strings.Join(shown, ", ") + "]"
		},
		schema: node{"type": "array", "items": of.schema, "uniqueItems": true},
	}
}

// readElements reads the elements of a list.
func readElements[V any](of valueType[V], raws []any, fail failure) []V {
	var list []V
	first := map[string]int{}
	for i, raw := range raws {
		sound := true
		v := of.read(raw, func(place, reason string) {
			sound = false
			fail(element("", i)+place, reason)
		})
		if !sound {
			continue
		}
		shown := of.show(v)
		if before, twice := first[shown]; twice {
			fail(element("", i), fmt.Sprintf("%s is already in the list, as element %s: leave one out", shown, element("", before)))
			continue
		}
		first[shown] = i
		list = append(list, v)
	}
	return list
}

// mustBe returns an error that says what is allowed instead of raw.
func mustBe(want string, raw any) error {
	return fmt.Errorf("must be %s, not %s", want, describe(raw))
}

// describe shows a value as the TOML library decoded it.
func describe(raw any) string {
	switch v := raw.(type) {
	case nil:
		return "null"
	case string:
		return quoted(v)
	case int64, float64, bool:
		return fmt.Sprint(v)
	case []any:
		if len(v) > 0 {
			if _, tables := v[0].(map[string]any); tables {
				return "an array of tables"
			}
		}
		return "a list"
	case []map[string]any:
		return "an array of tables"
	case map[string]any:
		return "a table"
	default:
		return "a date or time"
	}
}

// quoted shows a string from the file, cut where it is too long for a message.
func quoted(s string) string {
	const longest = 80
	if len(s) > longest {
		return strconv.Quote(s[:longest]) + "..."
	}
	return strconv.Quote(s)
}

var boolean = scalar(func(raw any) (bool, error) {
	v, ok := raw.(bool)
	if !ok {
		return false, mustBe("true or false, without quotes", raw)
	}
	return v, nil
}, strconv.FormatBool).in(node{"type": "boolean"})

// count is a number of things, with no bound except the type's.
var count = integer(0, math.MaxInt32)

func integer(least, most int) valueType[int] {
	return scalar(func(raw any) (int, error) {
		v, ok := raw.(int64)
		if !ok || v < int64(least) || v > int64(most) {
			return 0, mustBe(fmt.Sprintf("a whole number from %d to %d", least, most), raw)
		}
		return int(v), nil
	}, strconv.Itoa).in(node{"type": "integer", "minimum": least, "maximum": most})
}

// factor is the type of balance_factor.
var factor = scalar(func(raw any) (float64, error) {
	v, ok := raw.(float64)
	if whole, isWhole := raw.(int64); isWhole {
		v, ok = float64(whole), true
	}
	if !ok || math.IsInf(v, 0) || v != 0 && !(v > 1) {
		return 0, mustBe("0 (plain hash) or a number above 1, such as 1.02 (no server more than 2% over its fair share)", raw)
	}
	return v, nil
}, func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }).in(node{"anyOf": []node{{"const": 0}, {"type": "number", "exclusiveMinimum": 1}}})

// text is any string without control characters.
var text = word("a string in quotes", func(s string) (string, error) {
	if hasControls(s) {
		return "", fmt.Errorf("must be a string without control characters, not %s", quoted(s))
	}
	return s, nil
})

// oneOf is one of a few words.
func oneOf[V ~string](values ...V) valueType[V] {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = string(v)
	}
	return scalar(func(raw any) (V, error) {
		s, _ := raw.(string)
		for _, v := range values {
			if raw == string(v) {
				return v, nil
			}
		}
		return "", fmt.Errorf("%w%s", mustBe(oneOfWords(words), raw), didYouMean(s, words))
	}, func(v V) string { return strconv.Quote(string(v)) }).in(node{"enum": words})
}

var levelWords = []string{"debug", "info", "warn", "error"}

// level is the type of log_level.
var level = scalar(func(raw any) (slog.Level, error) {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	s, _ := raw.(string)
	v, ok := levels[s]
	if !ok {
		return 0, mustBe(oneOfWords(levelWords), raw)
	}
	return v, nil
}, func(v slog.Level) string { return strconv.Quote(strings.ToLower(v.String())) }).in(node{"enum": levelWords})

const (
	shortest = time.Millisecond     // shorter is no different from 0 for a timer
	year     = 365 * 24 * time.Hour // longer is taken for a mistake
)

var (
	// timeout is a duration that may be 0, with a special meaning.
	timeout = duration(true, year)
	// period is a duration that must be more than 0.
	period = duration(false, year)
	// tcpUserTimeout is bounded by the kernel's int of milliseconds (tcp(7),
	// TCP_USER_TIMEOUT).
	tcpUserTimeout = duration(true, 24*24*time.Hour)
	// keepAlive is bounded by what the kernel takes for TCP_KEEPIDLE (tcp(7)).
	keepAlive = durationFrom(true, time.Second, 9*time.Hour)
)

func duration(zero bool, most time.Duration) valueType[time.Duration] {
	return durationFrom(zero, shortest, most)
}

// durationFrom is a duration from least to most, or 0 if that is allowed.
func durationFrom(zero bool, least, most time.Duration) valueType[time.Duration] {
	want := fmt.Sprintf(`a duration from %s to %s, such as "3s"`, showDuration(least), showDuration(most))
	if zero {
		want = fmt.Sprintf(`0 or a duration from %s to %s, such as "3s"`, showDuration(least), showDuration(most))
	}
	return scalar(func(raw any) (time.Duration, error) {
		s, isString := raw.(string)
		if n, isNumber := raw.(int64); isNumber {
			s = strconv.FormatInt(n, 10)
		} else if !isString {
			return 0, mustBe(want, raw)
		}
		if _, err := strconv.ParseInt(s, 10, 64); err == nil && strings.Trim(s, "0") != "" {
			return 0, fmt.Errorf("%w: it lacks a unit (ms, s, m, h)", mustBe(want, raw))
		}
		v, err := time.ParseDuration(s)
		if err != nil || v == 0 && !zero || v != 0 && v < least || v > most {
			return 0, mustBe(want, raw)
		}
		return v, nil
	}, showDuration).in(durationSchema(zero))
}

// showDuration is time.Duration's String without trailing zeros: "5m", not "5m0s".
func showDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

const (
	kilobyte = 1 << 10
	megabyte = 1 << 20
	gigabyte = 1 << 30
)

// size is a number of bytes. When zero is set, 0 is allowed below least.
func size(zero bool, least, most int64) valueType[int64] {
	want := fmt.Sprintf(`a size from %s to %s, such as "32k", "16m" or 65536 (bytes)`, showSize(least), showSize(most))
	if zero {
		want = "0 (no limit) or " + want
	}
	return scalar(func(raw any) (int64, error) {
		v, ok := raw.(int64)
		if s, isString := raw.(string); isString {
			v, ok = parseSize(s)
		}
		if !ok || v < least && !(zero && v == 0) || v > most {
			return 0, mustBe(want, raw)
		}
		return v, nil
	}, showSize).in(sizeSchema)
}

// parseSize reads digits, with one of k, m, g after them or none.
func parseSize(s string) (int64, bool) {
	unit := int64(1)
	if s != "" {
		switch s[len(s)-1] {
		case 'k', 'K':
			unit = kilobyte
		case 'm', 'M':
			unit = megabyte
		case 'g', 'G':
			unit = gigabyte
		}
	}
	if unit > 1 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseUint(s, 10, 32) // digits alone: no sign, no underscore
	return int64(n) * unit, err == nil
}

func showSize(v int64) string {
	for _, unit := range []struct {
		bytes  int64
		letter string
	}{{gigabyte, "g"}, {megabyte, "m"}, {kilobyte, "k"}} {
		if v != 0 && v%unit.bytes == 0 {
			return strconv.FormatInt(v/unit.bytes, 10) + unit.letter
		}
	}
	return strconv.FormatInt(v, 10)
}

// prefix is a CIDR, or a single address.
var prefix = scalar(func(raw any) (netip.Prefix, error) {
	const want = `a CIDR, such as "10.0.0.0/8" or "2001:db8::/32", or an address`
	s, ok := raw.(string)
	if !ok {
		return netip.Prefix{}, mustBe(want, raw)
	}
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, mustBe(want, raw)
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%w: write the IPv4 part alone", mustBe(want, raw))
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%s has bits set beyond its first %d: write %q for the network, or %q for the address",
			quoted(s), p.Bits(), p.Masked(), p.Addr())
	}
	return p, nil
}, func(p netip.Prefix) string { return strconv.Quote(p.String()) }).in(node{"type": "string"})

// sourceAddress is an address of this machine to connect from.
var sourceAddress = scalar(func(raw any) (netip.Addr, error) {
	const want = `an address of this machine without a port, such as "192.0.2.10"`
	s, _ := raw.(string)
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.IsUnspecified() || addr.IsMulticast() || isMappedWithZone(addr) {
		return netip.Addr{}, mustBe(want, raw)
	}
	return addr.Unmap(), checkInterface(s, addr.String())
}, func(a netip.Addr) string { return strconv.Quote(a.String()) }).in(node{"type": "string"})
