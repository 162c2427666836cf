package main

import (
	"net"
	"strings"
	"sync/atomic"

	"github.com/miekg/dns"
)

// nameServerAddress is where the balancer asks for the servers of secure backends.
const nameServerAddress = host + ":5353"

// nameServer answers for names of servers, or does what operators see in the field.
type nameServer struct {
	addresses map[string]string // by name; it does not change
	behaviour atomic.Pointer[string]
}

// misbehaviours are what a name server does at times; "" = as it should.
var misbehaviours = []string{"silence", "SERVFAIL", "NXDOMAIN", "no addresses", "rubbish"}

// startNameServer serves over UDP until the program ends.
func startNameServer(servers []*server) (*nameServer, error) {
	conn, err := net.ListenPacket("udp", nameServerAddress)
	if err != nil {
		return nil, err
	}
	n := &nameServer{addresses: map[string]string{}}
	for _, s := range servers {
		n.addresses[dns.CanonicalName(s.hostName())], _, _ = strings.Cut(s.http, ":")
	}
	n.behave("")
	go func() { _ = (&dns.Server{PacketConn: conn, Handler: n}).ActivateAndServe() }()
	return n, nil
}

// behave says how it answers from now on.
func (n *nameServer) behave(how string) { n.behaviour.Store(&how) }

// ServeDNS implements dns.Handler.
func (n *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	answer := new(dns.Msg).SetReply(q)
	switch how := *n.behaviour.Load(); how {
	case "silence":
		return
	case "rubbish":
		_, _ = w.Write([]byte("rubbish that is no message"))
		return
	case "SERVFAIL", "NXDOMAIN":
		answer.Rcode = dns.StringToRcode[how]
	case "":
		address, known := n.addresses[dns.CanonicalName(q.Question[0].Name)]
		if !known {
			answer.Rcode = dns.RcodeNameError
		} else if q.Question[0].Qtype == dns.TypeA {
			answer.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.ParseIP(address)}}
		}
	}
	_ = w.WriteMsg(answer)
}
