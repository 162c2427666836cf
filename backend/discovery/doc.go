// Package discovery finds servers while the balancer runs: it looks up the names that
// servers have, and finds servers by DNS, by a file and by Kubernetes. It knows no socket
// of a client and no backend.
//
//	w := discovery.Start(discovery.NewSource(settings, lookup, time.Time{}), settings.Most, discovery.State{}, changed)
//	w.Wait(ctx)                  // until there is a first answer
//	servers := w.State().Servers // as last found, whatever has failed since
//
// A Source says which servers there are, or why it cannot say. What was found stays
// found until the source says otherwise: an error takes nothing away. Servers have
// stable names, since sessions' tags hash names: that of the pod, target:port of an SRV
// record, or the address. Whatever the order of an answer, the servers are the same.
//
//	r := discovery.New(settings, discovery.System{})
//	answer, err := r.Addresses(ctx, "node1.example.com", conf.FamilyAny)
//	services, err := r.Services(ctx, "_mcp._tcp.example.com")
//
// A Resolver answers as the system's resolver would (hosts file, then the name
// servers, search list, ndots and options of resolv.conf), but with the time to live
// of what it found, which the system's does not tell. It keeps nothing: each call
// asks. Names does the keeping: it looks each name up again when its TTL ends, and
// says which address a name stands for until then.
//
// What is not done: health, since a found server is checked like any other; DNSSEC,
// mDNS, nsswitch.conf, and a cache, which the name server has.
//
// Sources: RFC 1035 (messages), RFC 2181 section 5.2 (TTLs), RFC 2308 (empty answers),
// RFC 2782 (SRV), RFC 6891 (EDNS), RFC 7766 (TCP), RFC 8305 section 3 (A does not wait
// for AAAA), RFC 6761 section 6.3 (localhost), resolv.conf(5), hosts(5).
package discovery
