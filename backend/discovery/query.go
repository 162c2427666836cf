package discovery

import (
	"context"
	"net"
	"time"

	"github.com/miekg/dns"
)

const (
	// ednsSize is the largest answer over UDP that is asked for: it passes every
	// network unfragmented (DNS Flag Day 2020). A larger one comes over TCP.
	ednsSize = 1232
	// mostRead is the largest datagram that is taken, whatever was asked for.
	mostRead = 65535
	// mostSkipped bounds the answers to something else that are read past.
	mostSkipped = 1000
)

// question returns the message that asks for a type of record of an absolute name.
func question(name string, kind uint16, edns bool) *dns.Msg {
	q := new(dns.Msg).SetQuestion(name, kind)
	if edns {
		q.SetEdns0(ednsSize, false)
	}
	return q
}

// ask asks one name server one question: over UDP, and over TCP when the answer was
// truncated or tcp says so; without EDNS when the server does not understand it, or
// when edns is false. The answer is of success or says that the name does not exist;
// anything else is an error.
func (l *lookup) ask(ctx context.Context, server, name string, kind uint16, edns bool) (*dns.Msg, *Error) {
	network := "udp"
	if l.system.tcp {
		network = "tcp"
	}
	for {
		answer, err := l.exchange(ctx, network, server, question(name, kind, edns))
		switch {
		case err != nil:
			return nil, err
		case answer.Truncated && network == "udp":
			network = "tcp"
		case edns && (answer.Rcode == dns.RcodeFormatError || answer.Rcode == dns.RcodeNotImplemented || answer.Rcode == dns.RcodeBadVers):
			edns = false // RFC 6891 section 7
		default:
			return answer, refusal(server, answer)
		}
	}
}

// refusal returns what is wrong with an answer that does not decide anything; nil =
// nothing.
func refusal(server string, answer *dns.Msg) *Error {
	switch {
	case answer.Rcode == dns.RcodeNameError:
		return nil
	case answer.Rcode == dns.RcodeRefused:
		return failure(ServerFailure, "the name server %s answers REFUSED: it does not answer this client, or not for this name", server)
	case answer.Rcode != dns.RcodeSuccess:
		code := dns.RcodeToString[answer.Rcode]
		if code == "" {
			code = "an unknown code"
		}
		return failure(ServerFailure, "the name server %s answers %s", server, code)
	case len(answer.Answer) == 0 && !answer.Authoritative && !answer.RecursionAvailable && len(answer.Ns) > 0 && answer.Ns[0].Header().Rrtype == dns.TypeNS:
		return failure(ServerFailure, "the name server %s refers to others: it must resolve names itself", server)
	}
	return nil
}

// exchange sends a message and waits for the answer to it. Answers with another id or
// to another question, and what is no answer, are skipped: the right one may be
// behind them. Over UDP each question has a port and an id that cannot be guessed.
func (l *lookup) exchange(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, *Error) {
	limited, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(limited, network, server)
	if err != nil {
		return nil, socketFailure(ctx, server, err)
	}
	stop := context.AfterFunc(limited, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		stop()
		_ = conn.Close()
	}()
	wire := &dns.Conn{Conn: conn, UDPSize: mostRead}
	if err := wire.WriteMsg(q); err != nil {
		return nil, socketFailure(ctx, server, err)
	}
	for range mostSkipped {
		packet, err := wire.ReadMsgHeader(nil)
		if err == dns.ErrShortRead {
			continue
		} else if err != nil {
			return nil, socketFailure(ctx, server, err)
		}
		if answer := new(dns.Msg); answer.Unpack(packet) == nil && answers(q, answer) {
			return answer, nil
		}
	}
	return nil, failure(ServerFailure, "the name server %s answers other questions than what it was asked", server)
}

// answers reports whether a is the answer to q. An answer without a question is one
// where it says that q was not understood (RFC 1035 section 4.1.1).
func answers(q, a *dns.Msg) bool {
	if !a.Response || a.Id != q.Id || a.Opcode != q.Opcode {
		return false
	}
	if len(a.Question) == 0 {
		return a.Rcode == dns.RcodeFormatError || a.Rcode == dns.RcodeNotImplemented
	}
	asked, answered := q.Question[0], a.Question[0]
	return len(a.Question) == 1 && answered.Qtype == asked.Qtype && answered.Qclass == asked.Qclass &&
		dns.CanonicalName(answered.Name) == dns.CanonicalName(asked.Name)
}
