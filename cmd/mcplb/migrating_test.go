package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commandRow is a row of a table of commands in docs/migrating.md.
type commandRow struct{ line, theirs, ours string }

// commandTables are the rows of the tables of commands below a heading, up to the next one
// of its level.
func commandTables(t *testing.T, text, heading string) (rows []commandRow) {
	t.Helper()
	_, section, found := strings.Cut(text, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/migrating.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if cells := strings.Split(strings.ReplaceAll(line, `\|`, "/"), " | "); len(cells) == 3 && !strings.HasPrefix(line, "|---") {
			rows = append(rows, commandRow{line, cells[0], cells[1]})
		}
	}
	return rows
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// code are the spans of code in a cell.
func code(cell string) (spans []string) {
	for _, match := range codeSpan.FindAllStringSubmatch(cell, -1) {
		spans = append(spans, match[1])
	}
	return spans
}

// onSocket are the first words of what HAProxy takes on its socket.
var onSocket = regexp.MustCompile(`^(show|set|get|add|del|enable|disable|shutdown|clear|commit|help)\b`)

// TestMigratingCommands types what docs/migrating.md tells operators of HAProxy and nginx to
// type, in its order: every command of mcplb, what the socket answers as HAProxy does, and
// what it does not have, where it must name the counterpart. Otherwise they find out in an
// incident what has changed.
func TestMigratingCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short")
	}
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "migrating.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSetup(t, startEcho(t), startEcho(t))
	socket := filepath.Join(filepath.Dir(s.path), "socket")
	s.adminLines = fmt.Sprintf("stats_socket = %q\n", socket)
	startBalancer(t, s)
	typed, asked, named := 0, 0, 0
	for _, heading := range []string{"HAProxy: commands and signals", "nginx: commands and signals"} {
		for _, r := range commandTables(t, string(text), heading) {
			for _, command := range code(r.theirs) {
				if !onSocket.MatchString(command) {
					continue
				}
				answer, err := askHAProxy(socket, command)
				if err != nil {
					t.Fatal(err)
				}
				known := !strings.Contains(answer, "Unknown command") && !strings.Contains(answer, "'set server")
				if same := strings.HasPrefix(r.ours, "the same"); same != known {
					t.Errorf("%s\n%s: the socket answers %q", r.line, command, answer)
				}
				asked++
				if ours := code(r.ours); !known && len(ours) > 0 {
					named++
					if !namesOne(answer, ours) {
						t.Errorf("%s\n%s: the socket names none of these: %q", r.line, command, answer)
					}
				}
			}
			for _, command := range code(r.ours) {
				if args, ours := strings.CutPrefix(command, "mcplb "); ours {
					s.typeCommand(t, r, strings.Fields(args))
					typed++
				}
			}
		}
	}
	if typed < 25 || asked < 30 || named < 8 {
		t.Errorf("%d commands of mcplb were typed, %d on the socket, of which %d have a counterpart: are the tables found?", typed, asked, named)
	}
}

// namesOne reports whether an answer of the socket names one of the commands of mcplb.
func namesOne(answer string, commands []string) bool {
	_, advice, _ := strings.Cut(answer, "In mcplb: ")
	advice, _, _ = strings.Cut(advice, "\n")
	return slices.ContainsFunc(commands, func(c string) bool { return strings.Contains(advice, strings.Join(strings.Fields(c)[:2], " ")) })
}

// typeCommand runs a command of mcplb where lb.toml is. Status 1 is a finding of those that
// only look.
func (s *setup) typeCommand(t *testing.T, r commandRow, args []string) {
	t.Helper()
	command := exec.Command(filepath.Join(binaries, "mcplb"), args...)
	command.Dir, command.Env = filepath.Dir(s.path), append(os.Environ(), "MCPLB_ADMIN="+s.admin)
	output, err := command.CombinedOutput()
	looks := args[0] == "status" || args[0] == "tls-check"
	if err != nil && !(looks && command.ProcessState.ExitCode() == 1) {
		t.Errorf("%s\nmcplb %s: %v: %s", r.line, strings.Join(args, " "), err, output)
	}
}
