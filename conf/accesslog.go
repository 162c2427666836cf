package conf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The words that access_log may be instead of a path.
const (
	Stdout       = "stdout"
	Stderr       = "stderr"
	syslogPrefix = "syslog:"
)

// accessLog is where the access log goes, or "" for nowhere.
var accessLog = word(`a path, "stdout", "stderr", "syslog:", or "" for off`, parseAccessLog)

const accessLogChoices = `write "" for off, "stdout", "stderr", "syslog:", or a path`

func parseAccessLog(s string) (string, error) {
	if hasControls(s) {
		return "", fmt.Errorf("must be a string without control characters, not %s", quoted(s))
	}
	lower := strings.ToLower(s)
	switch lower {
	case "", Stdout, Stderr:
		return lower, nil
	case "/dev/stdout", "/dev/stderr": // which cannot be opened where they are sockets
		return strings.TrimPrefix(lower, "/dev/"), nil
	case "/dev/log": // also where no syslog runs, and HAProxy's word for it
		return "", errors.New(`"/dev/log" is the socket of syslog: write "syslog:"`)
	}
	if isOfOthers(lower) {
		return "", fmt.Errorf(`%s has more words after the log, as HAProxy and nginx take them: %s; the format and syslog's parameters are set as docs/configuration.md says`, quoted(s), accessLogChoices)
	}
	if isLogWord(lower) {
		return "", fmt.Errorf(`%s is not what the access log can be: %s (a file of that name: "./%s")`, quoted(s), accessLogChoices, s)
	}
	switch {
	case strings.TrimSpace(s) != s:
		return "", fmt.Errorf(`%s begins or ends with a space: leave it out`, quoted(s))
	case strings.HasPrefix(lower, syslogPrefix):
		_, err := ParseSyslog(s)
		return s, err
	case strings.HasPrefix(s, "|"):
		return "", fmt.Errorf(`%s is a command: make a named pipe with mkfifo, let the command read it, and write its path`, quoted(s))
	case strings.Contains(s, "://"):
		return "", fmt.Errorf(`%s is a URL: %s; for a syslog server, "syslog:server=HOST:PORT"`, quoted(s), accessLogChoices)
	}
	if _, port, err := splitAddress(s); err == nil && port != 0 && !strings.Contains(s, "/") {
		return "", fmt.Errorf(`%s is an address: for a syslog server, write "syslog:server=%s"`, quoted(s), s)
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return "", fmt.Errorf(`%s is an address: for a syslog server, write "syslog:server=%s"`, quoted(s), s)
	}
	if logTarget.MatchString(s) {
		return "", fmt.Errorf(`%s is a target of another program: %s; for a syslog server, "syslog:server=HOST:PORT"`, quoted(s), accessLogChoices)
	}
	return s, nil
}

// logWords are what other programs take for a log instead of a path, or people expect
// them to. A file of that name would be a surprise.
var logWords = []string{
	"-", "0", "1", "combined", "common", "console", "daemon", "default", "disable", "disabled", "discard", "enable", "enabled", "eventlog", "false", "global", "journal", "journald",
	"json", "memory", "n", "nil", "no", "none", "null", "off", "on", "stdin", "stdlog", "syslog", "text", "true", "user", "y", "yes",
}

// isLogWord reports whether a word in lower case is one of those, or one of syslog's
// local facilities.
func isLogWord(lower string) bool {
	return slices.Contains(logWords, lower) || isFacility(lower)
}

// isFacility reports whether word is one of syslog's local facilities.
func isFacility(word string) bool {
	return strings.HasPrefix(word, "local") && slices.Contains(facilities, word)
}

// isOfOthers reports whether s, in lower case, has words behind the log that only other
// programs have: "/dev/log local0" (HAProxy), "access.log combined buffer=32k" (nginx). A
// path may have spaces all the same.
func isOfOthers(s string) bool {
	if strings.HasPrefix(s, "./") { // as a file with the name of a log word is written
		return false
	}
	words := strings.Fields(s)
	for _, word := range words[min(1, len(words)):] {
		key, _, given := strings.Cut(word, "=")
		option := given && slices.Contains([]string{"buffer", "flush", "gzip", "if", "len", "format", "facility", "tag"}, key)
		if option || slices.Contains(logFormats, word) || isFacility(word) {
			return true
		}
	}
	return len(words) > 1 && slices.Contains([]string{Stdout, Stderr, "/dev/stdout", "/dev/stderr", "/dev/log", "off", "syslog:"}, words[0])
}

// logFormats are names of formats that stand behind a log.
var logFormats = []string{"raw", "rfc3164", "rfc5424", "combined", "common", "main", "json", "short", "timed", "iso", "local", "daemon", "gzip", "debug", "info", "notice", "warn", "error", "crit"}

// logTarget is a log that is no path in HAProxy (udp@, fd@, ring@, ...), nginx
// (memory:) and programs like them.
var logTarget = regexp.MustCompile(`(?i)^((udp|tcp|unix|ipv[46]|fd|ring|sockpair|abns|stream|dgram)[46]?(\+\w+)?@|(udp|tcp|unix|unixgram|fd|memory|file|pipe|exec|journal|stdout|stderr|ring):)`)

// hasControls reports whether s has control characters.
func hasControls(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Syslog is where and how an access log goes to syslog.
type Syslog struct {
	Network  string // "udp" or "unixgram"; "" = the local syslog, wherever its socket is
	Address  string // host:port, or the path of a socket
	Priority int    // facility and severity (RFC 3164 section 4.1.1)
	Tag      string
}

var (
	facilities = []string{"kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
	severities = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
)

// ParseSyslog reads an access_log that begins with "syslog:". Parameters are those of
// nginx: "syslog:server=HOST:PORT,facility=local7,tag=mcplb,severity=info", all
// optional. "syslog://HOST:PORT" is the same as server=.
func ParseSyslog(text string) (s Syslog, err error) {
	s = Syslog{Tag: "mcplb"}
	facility, severity := "daemon", "info"
	parameters := text[len(syslogPrefix):]
	if server, isURL := strings.CutPrefix(parameters, "//"); isURL {
		parameters = "server=" + server
	}
	for _, parameter := range strings.Split(parameters, ",") {
		key, value, _ := strings.Cut(parameter, "=")
		switch {
		case parameters == "":
		case key == "server" && value != "":
			s.Network, s.Address, err = parseSyslogServer(value)
		case key == "facility":
			facility = value
		case key == "severity":
			severity = value
		case key == "tag" && isSyslogTag(value):
			s.Tag = value
		default:
			err = fmt.Errorf(`%s has %s: write "syslog:" for the local syslog, or "syslog:server=HOST:PORT" with ",facility=local0", ",severity=info", ",tag=mcplb" as needed`, quoted(text), quoted(parameter))
		}
		if err != nil {
			return s, err
		}
	}
	f, l := slices.Index(facilities, facility), slices.Index(severities, severity)
	if f < 0 || l < 0 {
		return s, fmt.Errorf("%s has no valid facility or severity: a facility is %s; a severity is %s", quoted(text), enumerate(facilities, "or"), enumerate(severities, "or"))
	}
	s.Priority = f<<3 | l
	return s, nil
}

// isSyslogTag accepts what may stand before the message (RFC 3164 section 4.1.3).
func isSyslogTag(s string) bool {
	return s != "" && len(s) <= 32 && !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f || !isLetterOrDigit(byte(r)) && !strings.ContainsRune("-_./", r) })
}

// syslogPort is that of syslog over UDP (RFC 3164 section 2).
const syslogPort = "514"

func parseSyslogServer(s string) (network, address string, err error) {
	if path, isPath := strings.CutPrefix(s, "unix:"); isPath || strings.HasPrefix(s, "/") {
		return "unixgram", path, nil
	}
	if _, _, err := net.SplitHostPort(s); err != nil && !strings.Contains(s, "[") && !strings.Contains(s, ":") {
		s = net.JoinHostPort(s, syslogPort)
	}
	address, err = parseServer(s)
	return "udp", address, err
}

// checkLog accepts a path that can be written.
func checkLog(path string) error {
	directory := filepath.Dir(path)
	if info, err := os.Stat(directory); err != nil || !info.IsDir() {
		return fmt.Errorf("cannot be written: there is no directory %s; create it, or choose another path", quoted(directory))
	}
	info, err := os.Stat(path)
	target, noLink := os.Readlink(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && noLink == nil:
		if !filepath.IsAbs(target) {
			target = filepath.Join(directory, target)
		}
		return checkLog(target)
	case errors.Is(err, os.ErrNotExist):
		return checkWritable(directory, path)
	case err != nil:
		return fmt.Errorf("%s cannot be written: %w", quoted(path), errors.Unwrap(err))
	case info.IsDir():
		return fmt.Errorf("%s is a directory: write the path of a file in it", quoted(path))
	case info.Mode()&os.ModeSocket != 0:
		return fmt.Errorf(`%s is a socket: for syslog, write "syslog:", or "syslog:server=unix:%s"`, quoted(path), path)
	}
	return checkWritable(path, path)
}

// checkWritable reports why this process may not write to what.
func checkWritable(what, path string) error {
	if err := unix.Access(what, unix.W_OK); err != nil {
		return fmt.Errorf("%s cannot be written: %w", quoted(path), err)
	}
	return nil
}
