package admin

import (
	"fmt"
	"net/http"
)

// serveNginxStatus responds with the page of nginx's ngx_http_stub_status_module,
// space for space. The meaning of its numbers here:
//
//	Active   client connections now, on all frontends
//	accepts  client connections accepted
//	handled  accepted connections that were not refused
//	requests messages from clients: JSON-RPC lines, HTTP requests
//	Reading  always 0
//	Writing  connections with a server
//	Waiting  connections without one: in the queue, or connecting
func serveNginxStatus(source Source) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		s := snapshotOf(source)
		w.Header().Set("Connection", "close")
		write(w, http.StatusOK, textPlain, nginxStatus(&s))
	}
}

func nginxStatus(s *Snapshot) []byte {
	var active, withServer int64
	var accepts, refused, requests uint64
	for i := range s.Frontends {
		f := &s.Frontends[i]
		active += f.Connections.Current
		accepts += f.Connections.Total
		requests += f.MessagesIn
		for _, n := range f.Refused {
			refused += n
		}
	}
	for i := range s.Backends {
		for j := range s.Backends[i].Servers {
			withServer += s.Backends[i].Servers[j].Connections.Current
		}
	}
	writing := min(withServer, active)
	handled := accepts - min(refused, accepts)
	return fmt.Appendf(nil, "Active connections: %d \nserver accepts handled requests\n %d %d %d \nReading: 0 Writing: %d Waiting: %d \n",
		active, accepts, handled, requests, writing, active-writing)
}
