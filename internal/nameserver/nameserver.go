package nameserver

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Behaviour is how a name is answered. Its zero value is as it should be.
type Behaviour struct {
	Rcode    string        // such as SERVFAIL, instead of an answer
	Drop     []string      // types that are never answered, such as AAAA; "*" = all
	Delay    time.Duration // of answers
	Lies     bool          // answers with another id, to another question, of another kind and rubbish go before the right one
	Truncate bool          // no answer passes over UDP
	NoEDNS   bool          // FORMERR where the question has EDNS
	DropEDNS bool          // no answer where the question has EDNS
	Chain    bool          // CNAMEs are answered, but not followed
}

// Server is a name server. Its methods may be called while it serves.
type Server struct {
	Address netip.AddrPort

	mu        sync.Mutex           // guards what follows
	records   map[string][]dns.RR  // by canonical name
	behaviour map[string]Behaviour // "." = of all that have none of their own
	asked     map[string]int       // by name and type
	networks  map[string]int       // questions by network
	turn      int
}

// Serve starts a name server on a free port of 127.0.0.1, without names, until the
// test ends.
func Serve(t testing.TB) *Server {
	t.Helper()
	for range 20 {
		if s := serve(t); s != nil {
			return s
		}
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil
}

// serve returns nil if the port is taken for UDP.
func serve(t testing.TB) *Server {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		_ = tcp.Close()
		return nil
	}
	s := &Server{
		Address: netip.MustParseAddrPort(tcp.Addr().String()), records: map[string][]dns.RR{},
		behaviour: map[string]Behaviour{}, asked: map[string]int{}, networks: map[string]int{},
	}
	for _, server := range []*dns.Server{{Listener: tcp}, {PacketConn: udp}} {
		server.Handler, server.MsgAcceptFunc = s, func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }
		started, ended := make(chan struct{}), make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(ended)
			_ = server.ActivateAndServe()
		}()
		<-started
		t.Cleanup(func() {
			_ = server.Shutdown()
			<-ended
		})
	}
	return s
}

// Set makes the records those of a name: each a TTL in seconds, if not 60, a type and
// data, such as "A 127.0.0.1".
func (s *Server) Set(name string, records ...string) {
	name = dns.CanonicalName(name)
	parsed := []dns.RR{}
	for _, r := range records {
		if r[0] < '0' || r[0] > '9' {
			r = "60 " + r
		}
		ttl, rest, _ := strings.Cut(r, " ")
		record, err := dns.NewRR(name + " " + ttl + " IN " + rest)
		if err != nil || record == nil {
			panic("nameserver: " + r)
		}
		parsed = append(parsed, record)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[name] = parsed
}

// Remove makes a name unknown.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, dns.CanonicalName(name))
}

// Behave says how a name is answered; "." = every name without a behaviour.
func (s *Server) Behave(name string, b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaviour[dns.CanonicalName(name)] = b
}

// Asked returns how often a name was asked for, by a type such as "A".
func (s *Server) Asked(name, kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[dns.CanonicalName(name)+" "+kind]
}

// AskedOver returns how many questions came over "udp" or "tcp".
func (s *Server) AskedOver(network string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.networks[network]
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	network := w.RemoteAddr().Network()
	b, answer := s.answer(network, q)
	kind := dns.TypeToString[q.Question[0].Qtype]
	if slices.Contains(b.Drop, kind) || slices.Contains(b.Drop, "*") || b.DropEDNS && q.IsEdns0() != nil {
		return
	}
	time.Sleep(b.Delay)
	switch {
	case b.NoEDNS && q.IsEdns0() != nil:
		answer.Rcode, answer.Answer = dns.RcodeFormatError, nil
	case b.Rcode != "":
		answer.Rcode, answer.Answer = dns.StringToRcode[b.Rcode], nil
	}
	if q.IsEdns0() != nil && !b.NoEDNS {
		answer.SetEdns0(4096, false)
	}
	if b.Lies {
		lie(w, answer)
	}
	if network == "udp" {
		shorten(answer, q, b.Truncate)
	}
	_ = w.WriteMsg(answer)
}

// shorten cuts an answer to what the client takes over UDP.
func shorten(answer, q *dns.Msg, always bool) {
	size := dns.MinMsgSize
	if opt := q.IsEdns0(); opt != nil {
		size = max(size, int(opt.UDPSize()))
	}
	if always {
		answer.Answer, answer.Truncated = answer.Answer[:len(answer.Answer)/2], true
	}
	answer.Truncate(size)
	answer.Truncated = answer.Truncated || always
}

// lie sends what is not the answer, with addresses that must not be believed.
func lie(w dns.ResponseWriter, answer *dns.Msg) {
	wrong := func(change func(m *dns.Msg)) {
		m := answer.Copy()
		m.Rcode, m.Answer = dns.RcodeSuccess, nil
		for _, record := range []string{" 60 IN A 192.0.2.66", " 60 IN AAAA 2001:db8::66"} {
			if r, err := dns.NewRR(m.Question[0].Name + record); err == nil {
				m.Answer = append(m.Answer, r)
			}
		}
		change(m)
		_ = w.WriteMsg(m)
	}
	_, _ = w.Write([]byte("rubbish that is no message"))
	_, _ = w.Write([]byte{1})
	wrong(func(m *dns.Msg) { m.Id++ })
	wrong(func(m *dns.Msg) { m.Response = false })
	wrong(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify })
	wrong(func(m *dns.Msg) { m.Question[0].Name = "x" + m.Question[0].Name })
	wrong(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT })
	wrong(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS })
	wrong(func(m *dns.Msg) { m.Question = nil })
}

// answer returns the truth, and how to tell it.
func (s *Server) answer(network string, q *dns.Msg) (Behaviour, *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := q.Question[0]
	name := dns.CanonicalName(asked.Name)
	b, special := s.behaviour[name]
	if !special {
		b = s.behaviour["."]
	}
	s.asked[name+" "+dns.TypeToString[asked.Qtype]]++
	s.networks[network]++
	answer := new(dns.Msg).SetReply(q)
	answer.RecursionAvailable = true
	if _, known := s.records[name]; !known {
		answer.Rcode = dns.RcodeNameError
		return b, answer
	}
	for range 20 {
		alias := ""
		var found []dns.RR
		for _, r := range s.records[name] {
			if cname, ok := r.(*dns.CNAME); ok {
				alias = dns.CanonicalName(cname.Target)
			}
			if r.Header().Rrtype == asked.Qtype || alias != "" {
				found = append(found, dns.Copy(r))
			}
		}
		answer.Answer = append(answer.Answer, s.rotate(found)...)
		if alias == "" || b.Chain {
			break
		}
		name = alias
	}
	if _, known := s.records[name]; !known && !b.Chain {
		answer.Rcode = dns.RcodeNameError
	}
	return b, answer
}

// rotate returns the records in another order than the last time.
func (s *Server) rotate(records []dns.RR) []dns.RR {
	if len(records) < 2 {
		return records
	}
	s.turn++
	first := s.turn % len(records)
	return slices.Concat(records[first:], records[:first])
}
