package admin

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// infoVersion is the version of HAProxy whose output this is. Tools compare it.
const infoVersion = "2.6.0"

func (s *StatsSocket) showVersion([]string) (string, error) {
	return infoVersion + "-mcplb-" + s.view.snapshot().Process.Version + "\n", nil
}

// showInfo has HAProxy's lines that have a counterpart.
func (s *StatsSocket) showInfo([]string) (string, error) {
	now := s.view.snapshot()
	p := &now.Process
	up := time.Duration(p.UptimeSeconds) * time.Second
	days, rest := up/(24*time.Hour), up%(24*time.Hour)
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%s: %v\n", name, value) }
	line("Name", "mcplb")
	line("Version", infoVersion+"-mcplb")
	line("Release_date", p.StartTime.UTC().Format("2006/01/02"))
	line("Nbthread", p.Threads)
	line("Nbproc", 1)
	line("Process_num", 1)
	line("Pid", p.PID)
	line("Uptime", fmt.Sprintf("%dd %dh%02dm%02ds", days, int(rest.Hours()), int(rest.Minutes())%60, int(rest.Seconds())%60))
	line("Uptime_sec", int64(p.UptimeSeconds))
	line("Memmax_MB", 0)
	line("Ulimit-n", p.OpenFiles.Limit)
	line("Maxconn", p.Connections.Limit)
	line("Hard_maxconn", p.Connections.Limit)
	line("CurrConns", p.Connections.Current)
	line("CumConns", p.Connections.Total)
	line("Maxpipes", 0)
	line("PipesUsed", 0)
	line("PipesFree", 0)
	line("ConnRate", perSecond(p.Rates.Connections))
	line("ConnRateLimit", 0)
	line("Tasks", p.Connections.Current)
	line("Run_queue", 0)
	line("node", "mcplb")
	line("Stopping", boolDigit(p.Draining))
	return b.String(), nil
}

func boolDigit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// showStat is the CSV of the stats page, or its rows of one proxy, kind and server:
// -1 is any; types are the bits 1 for frontends, 2 for backends and 4 for servers.
func (s *StatsSocket) showStat(args []string) (string, error) {
	now := s.view.snapshot()
	table := string(haproxyCSV(&now))
	if len(args) == 0 {
		return table, nil
	}
	if len(args) != 3 {
		return "", answer("show stat takes no arguments, or three: the number or name of a proxy, and the numbers type and sid (-1 = any)")
	}
	var wanted [3]int
	for i, arg := range args {
		n, err := strconv.Atoi(arg)
		if err != nil && i == 0 {
			n, err = proxyNumber(&now, arg)
		} else if err != nil {
			err = answer(fmt.Sprintf("show stat: '%s' is not a number", arg))
		}
		if err != nil {
			return "", err
		}
		wanted[i] = n
	}
	return selectRows(table, wanted), nil
}

// proxyNumber is the column iid of a frontend or backend of that name.
func proxyNumber(now *Snapshot, name string) (int, error) {
	for i := range now.Frontends {
		if now.Frontends[i].Name == name {
			return i + 1, nil
		}
	}
	for i := range now.Backends {
		if now.Backends[i].Name == name {
			return len(now.Frontends) + i + 1, nil
		}
	}
	return 0, answer("No such proxy.")
}

// selectRows returns the heading and the rows whose iid, type and sid are wanted.
func selectRows(table string, wanted [3]int) string {
	lines := strings.SplitAfter(table, "\n")
	index := map[string]int{}
	for i, name := range strings.Split(strings.TrimPrefix(lines[0], "# "), ",") {
		index[name] = i
	}
	selected := lines[0]
	for _, line := range lines[1:] {
		values := strings.Split(line, ",")
		if len(values) < len(index) {
			continue
		}
		number := func(column string) int { n, _ := strconv.Atoi(values[index[column]]); return n }
		if (wanted[0] < 0 || number("iid") == wanted[0]) && (wanted[1] < 0 || wanted[1]&(1<<number("type")) != 0) && (wanted[2] < 0 || number("sid") == wanted[2]) {
			selected += line
		}
	}
	return selected
}

func (s *StatsSocket) showBackend([]string) (string, error) {
	text := "# name\n"
	for _, b := range s.view.snapshot().Backends {
		text += b.Name + "\n"
	}
	return text, nil
}

// serversStateColumns are the columns of version 1 of the format (HAProxy management
// guide, "show servers state").
const serversStateColumns = "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change " +
	"srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord " +
	"srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port"

func (s *StatsSocket) showServersState(args []string) (string, error) {
	now := s.view.snapshot()
	text, found := "1\n# "+serversStateColumns+"\n", len(args) == 0
	for i := range now.Backends {
		b := &now.Backends[i]
		if len(args) > 0 && b.Name != args[0] {
			continue
		}
		found = true
		for j := range b.Servers {
			text += serverState(&now, b, &b.Servers[j], len(now.Frontends)+i+1, j+1)
		}
	}
	if !found {
		return "", answer("Can't find backend.")
	}
	return text, nil
}

// The values of srv_op_state and srv_admin_state.
const (
	opStopped, opRunning, opStopping = 0, 2, 3
	adminForcedMaint, adminDrained   = 1, 8
)

// serverState is one line of show servers state.
func serverState(now *Snapshot, b *Backend, s *Server, backend, number int) string {
	operation, administration := opRunning, 0
	switch s.Admin {
	case AdminMaint:
		operation, administration = opStopped, adminForcedMaint
	case AdminDrain:
		operation, administration = opStopping, adminDrained
	}
	health, result := 3, 3 // L7 passed
	if s.asksToDrain() {
		operation, result = opStopping, 4 // conditionally passed
	}
	if s.State == ServerDown {
		operation, health, result = opStopped, 0, 2
	}
	host, port, err := net.SplitHostPort(address(s))
	if err != nil {
		host, port = "-", "0"
	}
	since := int64(max(now.Time.Sub(s.Changed()).Seconds(), 0))
	return fmt.Sprintf("%d %s %d %s %s %d %d %d %d %d 6 %d %d 6 0 0 0 - %s - 0 0 - - 0\n",
		backend, b.Name, number, s.Name, host, operation, administration, s.Weight, s.InitialWeight, since, result, health, port)
}
