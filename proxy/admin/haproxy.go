package admin

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// haproxyColumns are the columns of HAProxy's statistics in their order (HAProxy
// management guide, section 9.1, version 2.6).
const haproxyColumns = "pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,bck," +
	"chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration," +
	"hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp," +
	"comp_rsp,lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise,check_fall," +
	"check_health,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,reuse," +
	"cache_lookups,cache_hits,srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur,used_conn_cur,need_conn_est," +
	"uweight,agg_server_status,agg_server_check_status,agg_check_status"

// The values of column type.
const (
	haproxyFrontend = "0"
	haproxyBackend  = "1"
	haproxyServer   = "2"
)

// serveCSV responds like HAProxy's statistics page with ;csv, for tools made for
// HAProxy. A column without a counterpart here is empty, as in HAProxy if it does
// not apply. "Sessions" are connections: those of clients in frontends, those to
// servers in servers and backends.
func serveCSV(v *view) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		s := v.snapshot()
		write(w, http.StatusOK, textPlain, haproxyCSV(&s))
	}
}

// row is one line: values by column.
type row map[string]string

func haproxyCSV(s *Snapshot) []byte {
	names := strings.Split(haproxyColumns, ",")
	var out bytes.Buffer
	out.WriteString("# ")
	table := csv.NewWriter(&out)
	write := func(r []string) { _ = table.Write(append(r, "")) } // to memory: never fails
	write(names)
	id := 0
	next := func() string { id++; return strconv.Itoa(id) }
	for i := range s.Frontends {
		write(frontendRow(&s.Frontends[i], next(), s.Process.Connections.Limit).values(names))
	}
	for i := range s.Backends {
		b, number := &s.Backends[i], next()
		for j := range b.Servers {
			write(serverRow(s.Time, b, &b.Servers[j], number, strconv.Itoa(j+1)).values(names))
		}
		write(backendRow(b, number).values(names))
	}
	table.Flush()
	return out.Bytes()
}

// values are the row's values in the order of the columns.
func (r row) values(names []string) []string {
	values := make([]string, 0, len(names)+1)
	for _, name := range names {
		values = append(values, r[name])
	}
	return values
}

func num[N int | int64 | uint64](n N) string { return strconv.FormatInt(int64(n), 10) }

func perSecond(rate float64) string { return strconv.FormatInt(int64(rate+0.5), 10) }

// millis returns the mean in milliseconds, the unit of HAProxy.
func millis(l *Latency) string {
	if l.Count == 0 {
		return "0"
	}
	return strconv.FormatInt(int64(l.SumSeconds/float64(l.Count)*1000+0.5), 10)
}

// orNone formats a limit; it is empty if there is none.
func orNone(limit int64) string {
	if limit == 0 {
		return ""
	}
	return num(limit)
}

func frontendRow(f *Frontend, number string, limit int64) row {
	r := row{
		"pxname": f.Name, "svname": "FRONTEND", "type": haproxyFrontend, "pid": "1", "iid": number, "sid": "0",
		"status": "OPEN", "mode": haproxyMode(f.Mode),
		"scur": num(f.Connections.Current), "smax": num(f.Connections.Peak), "slim": orNone(limit), "stot": num(f.Connections.Total),
		"bin": num(f.BytesIn), "bout": num(f.BytesOut),
		"dcon": num(f.Refused["connection_rate"] + f.Refused["banned"] + f.Refused["source_connections"] + f.Refused["global_connection_rate"] + f.Refused["access_denied"]),
		"dreq": num(f.MessagesRejected), "dresp": "0", "ereq": "0",
		"rate": perSecond(f.Rates.Connections), "conn_rate": perSecond(f.Rates.Connections), "conn_tot": num(f.Connections.Total),
		"req_rate": perSecond(f.Rates.Messages), "req_tot": num(f.MessagesIn),
	}
	if f.State == FrontendDraining {
		r["status"] = "STOP"
	}
	if f.HTTP != nil {
		r["ereq"], r["req_tot"] = num(total(f.HTTP.Malformed)), num(f.HTTP.Requests)
		r["intercepted"], r["comp_rsp"] = num(total(f.HTTP.OwnResponses)), num(f.HTTP.Compressed)
		r.responses(f.HTTP.Responses)
	}
	return r
}

// responses sets the responses by class.
func (r row) responses(by map[string]uint64) {
	for _, class := range []string{"1xx", "2xx", "3xx", "4xx", "5xx", "other"} {
		r["hrsp_"+class] = num(by[class])
	}
}

// haproxyMode returns tcp or http.
func haproxyMode(mode string) string {
	if mode == "http" {
		return "http"
	}
	return "tcp"
}

func serverRow(now time.Time, b *Backend, s *Server, backend, number string) row {
	r := row{
		"pxname": b.Name, "svname": s.Name, "type": haproxyServer, "pid": "1", "iid": backend, "sid": number,
		"status": haproxyStatus(s), "weight": num(int(s.EffectiveWeight + 0.5)), "uweight": num(s.Weight), "act": num(count(!s.Backup)), "bck": num(count(s.Backup)),
		"qcur": num(s.Queued), "qmax": num(s.Queued),
		"scur": num(s.Connections.Current), "smax": num(s.Connections.Peak), "slim": orNone(s.Connections.Limit),
		"stot": num(s.Connections.Total), "lbtot": num(s.Connections.Total), "connect": num(s.Connections.Total),
		"bin": num(s.BytesIn), "bout": num(s.BytesOut), "dresp": "0",
		"econ":  num(s.Errors["connect_error"] + s.Errors["connect_timeout"]),
		"eresp": num(s.Errors["reset"] + s.Errors["server_timeout"]), "cli_abrt": num(s.Errors["client_abort"]), "srv_abrt": num(s.Errors["reset"]),
		"wretr": num(s.Retries), "wredis": num(s.Redispatches),
		"lastchg": num(int64(max(now.Sub(s.Changed()).Seconds(), 0))), "rate": perSecond(s.Rates.Connections),
		"chkfail": num(s.Check.Failures), "chkdown": num(s.Downs), "downtime": num(int64(s.DowntimeSeconds)), "check_status": s.Check.Code, "last_chk": s.Check.Text, "check_desc": s.Check.Text,
		"check_duration": strconv.FormatInt(int64(s.Check.LatencySeconds*1000+0.5), 10),
		"ctime":          millis(&s.Connect), "rtime": millis(&s.Response), "qtime": "0", "ttime": "0",
		"req_rate": perSecond(s.Rates.Messages), "req_tot": num(max(s.MessagesIn, s.Response.Count)),
		"addr": address(s), "mode": "tcp", "srv_icur": num(s.Idle), "used_conn_cur": num(s.Connections.Current),
	}
	if len(s.Responses) > 0 {
		r.responses(s.Responses)
	}
	if s.EffectiveWeight < float64(s.Weight) && s.Weight > 0 {
		r["throttle"] = num(int(100 * s.EffectiveWeight / float64(s.Weight)))
	}
	return r
}

// haproxyStatus returns a server's state in HAProxy's words.
func haproxyStatus(s *Server) string {
	progress, _, _ := strings.Cut(s.Check.Progress, " ")
	switch {
	case s.Admin == AdminMaint:
		return "MAINT"
	case s.State == ServerDown:
		return strings.TrimSpace("DOWN " + progress)
	case s.Admin == AdminDrain:
		return "DRAIN"
	case s.DrainRequest != "":
		return strings.TrimSpace("NOLB " + progress) // as with HAProxy's disable-on-404
	case s.State == ServerUnchecked:
		return "no check"
	}
	return strings.TrimSpace("UP " + progress)
}

// count is 1 for true.
func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func backendRow(b *Backend, number string) row {
	backups, standby := 0, b.standby()
	for i := range b.Servers {
		backups += count(b.Servers[i].Usable && b.Servers[i].Backup)
	}
	r := row{
		"pxname": b.Name, "svname": "BACKEND", "type": haproxyBackend, "pid": "1", "iid": number, "sid": "0",
		"status": "UP", "mode": "tcp", "algo": b.Balance, "qcur": num(b.QueueCurrent), "qmax": num(b.QueuePeak),
		"wretr": num(b.Retries), "wredis": num(b.Redispatches), "act": num(b.ServersUsable - backups), "bck": num(backups), "dreq": "0", "dresp": "0",
	}
	if b.ServersUsable == 0 {
		r["status"] = "DOWN"
	}
	var current, peak int64
	var weight float64
	sums := map[string]uint64{}
	responses := map[string]uint64{}
	for i := range b.Servers {
		s := &b.Servers[i]
		current, peak = current+s.Connections.Current, max(peak, s.Connections.Peak)
		if s.Usable && s.Backup == standby {
			weight += s.EffectiveWeight
		}
		sums["stot"] += s.Connections.Total
		sums["bin"] += s.BytesIn
		sums["bout"] += s.BytesOut
		sums["econ"] += s.Errors["connect_error"] + s.Errors["connect_timeout"]
		sums["eresp"] += s.Errors["reset"] + s.Errors["server_timeout"]
		sums["cli_abrt"] += s.Errors["client_abort"]
		sums["req_tot"] += max(s.MessagesIn, s.Response.Count)
		for class, n := range s.Responses {
			responses[class] += n
		}
	}
	for column, n := range sums {
		r[column] = num(n)
	}
	r["scur"], r["smax"], r["weight"], r["lbtot"] = num(current), num(max(current, peak)), num(int(weight+0.5)), cmp.Or(r["stot"], "0")
	if len(responses) > 0 {
		r.responses(responses)
	}
	return r
}
