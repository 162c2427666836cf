// Package admin shows the balancer's state: one Snapshot in several formats.
//
//	GET /, /stats             the page for people, with buttons for those who may use commands
//	GET /api/v1/status        the Snapshot as JSON, for programs
//	GET /api/v1/openapi.json  the description of the JSON and the commands
//	GET /metrics              the same for Prometheus, with metrics of Go and of the process
//	GET /stats;csv            the same in HAProxy's columns, for HAProxy's tools
//	GET /health               200 or 503, for a load balancer or orchestrator in front
//	GET /nginx_status         nginx's stub_status page, for nginx's monitoring tools
//	/api/v1/...               runtime commands (api.go), which a Control executes
//
// It guarantees that every response shows exactly one Snapshot, so that its
// numbers are consistent; that lists have the order of the configuration file;
// and that rendering never touches the data path. What it costs to build a
// Snapshot depends on its Source. The JSON is a public contract: names and
// meanings stay, members may be added.
//
// Use: NewAdminHandler is for the admin listener; NewHealthHandler, which shows
// no internals, is for health_listen; HTTPServer serves either.
//
// Reading needs no authentication: the network has to keep everyone else away
// from the listener. Commands, and lists of single clients, do (Access). HEAD works
// wherever GET does; other methods get 405, other paths 404. Every failure of the API
// is a Failure in JSON.
//
// A flood costs the balancer's clients nothing: connections (ConnectionLimit), requests
// per second (HTTPServer) and drawings are bounded.
package admin
