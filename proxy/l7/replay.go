package l7

import (
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
)

// onlyReads reports whether the request that was sent, and whose answer has not begun,
// may be sent once more because no server changes anything on account of it: all of it is
// at hand, and every message in its body has a method that only reads, whichever way a
// server may read the body. The body decides, not the request's fields: servers act on the
// body, and those that compare the two refuse what differs. It is asked only once a
// connection has failed, so that other requests pay nothing.
func (x download) onlyReads() bool {
	if x.Flags&(rpc|interim|resent) != rpc || !x.dispatch.Pool.InForce().Replay {
		return false
	}
	head, body, ok := x.remembered()
	if !ok {
		return false
	}
	w := x.client.worker
	r := w.readers.get()
	defer w.readers.put(r)
	r.begin(head)
	var framed Body
	framed.begin(head.Framing, head.Length, head.Trailers())
	if _, reason := framed.scan(body, r); reason != http1.ReasonNone || !framed.Done || r.coding != mcp.CodingNone {
		return false
	}
	return r.broken() == mcp.FaultNone && r.End() == mcp.FaultNone && allRead(r.Calls())
}

// remembered returns the head of the request that was sent, parsed, and its body as far as
// it was kept.
func (x download) remembered() (head *http1.RequestHead, body []byte, ok bool) {
	p := x.replay.Bytes()
	var scan http1.Scan
	head = &x.client.worker.request
	n, reason := head.Parse(p, &scan, http1.MaxHead)
	if n == 0 || reason != http1.ReasonNone {
		return nil, nil, false
	}
	return head, p[n:], true
}

// allRead reports whether there are calls, and all of them only read.
func allRead(all []mcp.Call) bool {
	for i := range all {
		if !mcp.MethodOf(all[i].Method).OnlyReads() {
			return false
		}
	}
	return len(all) > 0
}
