package conf

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// loadTicketKeys reads the keys of a frontend's session tickets. path is that of its
// table tls.
func loadTicketKeys(t *TLS, path string, d *decoder) {
	if t.TicketKeys == "" || !d.sound(path+".ticket_keys") {
		return
	}
	text, err := ReadFile(t.TicketKeys, MostSmall)
	if err == nil {
		t.Keys, err = parseTicketKeys(text)
		if err != nil {
			err = fmt.Errorf("%s%w", t.TicketKeys, err)
		}
	}
	if err != nil {
		d.fail(path+".ticket_keys", "%v", err)
	}
}

// mostTicketKeys is how many keys a file may have: each is tried for every ticket.
const mostTicketKeys = 64

// parseTicketKeys returns the keys of a text: one a line, as hex or base64, newest
// first. Empty lines and those that begin with "#" are skipped. Its error begins with
// ":", and the number of the line where there is one; it never shows a key.
func parseTicketKeys(text []byte) (keys [][]byte, err error) {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		word := strings.TrimSpace(string(line))
		if word == "" || word[0] == '#' {
			continue
		}
		key, err := parseTicketKey(word)
		if err != nil {
			return nil, fmt.Errorf(":%d: %w", number, err)
		}
		if slices.ContainsFunc(keys, func(other []byte) bool { return bytes.Equal(other, key) }) {
			return nil, fmt.Errorf(":%d: the key stands there already: leave one out", number)
		}
		if keys = append(keys, key); len(keys) > mostTicketKeys {
			return nil, fmt.Errorf(":%d: there may be %d keys, since each is tried for every ticket: leave the oldest out", number, mostTicketKeys)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New(": has no key: write one with openssl rand -hex 32, the newest first")
	}
	return keys, nil
}

// parseTicketKey reads one key. What can be both is hex: base64 of 48 random bytes never
// looks like it.
func parseTicketKey(word string) ([]byte, error) {
	key, err := hex.DecodeString(word)
	if err != nil {
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(word, "="))
		key, err = base64.RawStdEncoding.DecodeString(plain)
	}
	switch {
	case err != nil:
		return nil, errors.New("is neither hex nor base64: write a key of 32 bytes with openssl rand -hex 32")
	case len(key) != 32 && len(key) != 48:
		return nil, fmt.Errorf("the key has %d bytes, and must have 32 or 48: openssl rand -hex 32 writes one", len(key))
	case bytes.Count(key, key[:1]) == len(key):
		return nil, errors.New("the key is the same byte again and again, which anybody can guess: openssl rand -hex 32 writes one")
	}
	return key, nil
}

// ticketWarnings warns of keys of tickets that others on this machine may read.
func (t *TLS) ticketWarnings(path string) []string {
	if t.TicketKeys == "" {
		return nil
	}
	info, err := os.Stat(t.TicketKeys)
	if err != nil || info.Mode().Perm()&0o007 == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s.ticket_keys: %s can be read or written by every user of this machine (mode %04o), who can read all sessions with it: chmod o= it",
		path, quoted(t.TicketKeys), info.Mode().Perm())}
}
