package session

import (
	"mcplb/backend"
	"mcplb/ratelimit"
)

// Reason is why a session ended: its termination state. Each is counted per
// frontend, and its String is the label in statistics and logs.
type Reason uint8

// The reasons. Those from Banned on are refusals: the session was never
// relayed to a server.
const (
	ClientClosed      Reason = iota // the client finished first, all was delivered
	ServerClosed                    // the server finished first, all was delivered
	ClientReset                     // the client broke the connection off
	ServerReset                     // the server broke the connection off
	IdleTimeout                     // nothing moved for timeout_client or timeout_server
	HalfClosedTimeout               // nothing moved for timeout_half_closed after one side had finished
	ServerDown                      // the server went down, and on_down = "close"
	ServerRemoved                   // a reload took the server away, and on_removed = "close"
	ServerMaint                     // an operator put the server into maintenance, and on_down = "close"
	Killed                          // an operator ended the connection
	RequestTimeout                  // no byte of a first request came within timeout_http_request
	BodyTooSlow                     // a request's body came slower than min_body_rate, while it was answered
	MessageTooLong                  // a line longer than max_message
	Stopped                         // draining took longer than hard_stop_after

	Banned               // the source is banned
	ConnectionRate       // the source opens connections too fast
	SourceConnections    // the source has max_connections open
	GlobalConnectionRate // all sources together open connections too fast
	AccessDenied         // the frontend's allow or deny refuses the client's address
	UntrustedProxy       // accept_proxy, and the peer is not among trusted_proxies
	ProxyHeaderInvalid   // accept_proxy, and what came is no PROXY header
	ProxyHeaderTimeout   // accept_proxy, and no complete header came in time
	TLSHandshake         // the TLS handshake failed
	TLSTimeout           // the TLS handshake took too long
	ClientGone           // the client broke off before it had a server
	NoServer             // no server is usable
	QueueTimeout         // no slot was free for timeout_queue
	ConnectRefused       // every attempt failed, the last with ECONNREFUSED
	ConnectTimeout       // every attempt failed, the last by timeout_connect
	ConnectFailed        // every attempt failed, the last for another reason
	NoResources          // the balancer had no descriptor, port or memory for it

	TLSClientCertMissing   // client_verify = "require", and the client has shown no certificate
	TLSClientCertUnknownCA // the client's certificate is of no authority in client_ca
	TLSClientCertExpired   // the client's certificate has expired
	TLSClientCertRevoked   // a list of client_crl has the client's certificate
	TLSClientCertBad       // the client's certificate is not valid yet, not for clients, weak or malformed

	// Reasons is how many there are.
	Reasons
)

var reasonNames = [Reasons]string{
	ClientClosed:         "client_closed",
	ServerClosed:         "server_closed",
	ClientReset:          "client_reset",
	ServerReset:          "server_reset",
	IdleTimeout:          "idle_timeout",
	HalfClosedTimeout:    "half_closed_timeout",
	ServerDown:           "server_down",
	ServerRemoved:        "server_removed",
	ServerMaint:          "server_maint",
	Killed:               "killed",
	RequestTimeout:       "request_timeout",
	BodyTooSlow:          "body_too_slow",
	MessageTooLong:       "message_too_long",
	Stopped:              "stopped",
	Banned:               "banned",
	ConnectionRate:       "connection_rate",
	SourceConnections:    "source_connections",
	GlobalConnectionRate: "global_connection_rate",
	AccessDenied:         "access_denied",
	UntrustedProxy:       "untrusted_proxy",
	ProxyHeaderInvalid:   "proxy_header_invalid",
	ProxyHeaderTimeout:   "proxy_header_timeout",
	TLSHandshake:         "tls_handshake",
	TLSTimeout:           "tls_timeout",
	ClientGone:           "client_gone",
	NoServer:             "no_server",
	QueueTimeout:         "queue_timeout",
	ConnectRefused:       "connect_refused",
	ConnectTimeout:       "connect_timeout",
	ConnectFailed:        "connect_failed",
	NoResources:          "no_resources",

	TLSClientCertMissing: "tls_client_cert_missing", TLSClientCertUnknownCA: "tls_client_cert_unknown_ca",
	TLSClientCertExpired: "tls_client_cert_expired", TLSClientCertRevoked: "tls_client_cert_revoked", TLSClientCertBad: "tls_client_cert_bad",
}

func (r Reason) String() string { return reasonNames[r] }

// Refusal reports whether the session ended before it was relayed to a server.
func (r Reason) Refusal() bool { return r >= Banned }

// downOf is the reason why a stream to a server ends that must not be used any
// more: the checks say so, the operator, or a reload.
func downOf(server *backend.Server) Reason {
	switch {
	case server.Removed():
		return ServerRemoved
	case server.State().Admin == backend.Maint:
		return ServerMaint
	}
	return ServerDown
}

// ofCertificate reports whether the client was refused for its certificate.
func (r Reason) ofCertificate() bool { return r >= TLSClientCertMissing && r <= TLSClientCertBad }

// Limited reports whether the limiter refused the session.
func (r Reason) Limited() bool { return r >= Banned && r <= GlobalConnectionRate }

// RefusalOf is the reason that stands for a verdict of the limiter.
func RefusalOf(verdict ratelimit.Verdict) Reason {
	switch verdict {
	case ratelimit.RefusedBanned:
		return Banned
	case ratelimit.RefusedConcurrent:
		return SourceConnections
	case ratelimit.RefusedGlobalRate:
		return GlobalConnectionRate
	}
	return ConnectionRate
}

// Outcome is what the end of a session says about the server that it had.
func (r Reason) Outcome() backend.Outcome { return outcomes[r] }

var outcomes = [Reasons]backend.Outcome{
	ServerReset: backend.ServerReset,
	ClientReset: backend.ClientAbort,
	IdleTimeout: backend.Aborted, HalfClosedTimeout: backend.Aborted,
	ServerDown: backend.Aborted, ServerRemoved: backend.Aborted, ServerMaint: backend.Aborted, Killed: backend.Aborted,
	BodyTooSlow: backend.Aborted, MessageTooLong: backend.Aborted, Stopped: backend.Aborted,
	ClientGone: backend.ClientAbort, NoResources: backend.Aborted,
}
