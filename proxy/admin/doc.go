// Package admin shows what the balancer does: one Snapshot, several renderings.
//
//	GET /, /stats             the page for people, with buttons for who may
//	GET /api/v1/status        the Snapshot as JSON, for programs
//	GET /api/v1/openapi.json  what the JSON and the commands are like
//	GET /metrics              the same for Prometheus, with Go's and the process's own
//	GET /stats;csv            the same in HAProxy's columns, for its tools
//	GET /health               200 or 503, for a load balancer or orchestrator in front
//	GET /nginx_status         nginx's stub_status page, for its monitoring tools
//	/api/v1/...               runtime commands (api.go), which a Control carries out
//
// It guarantees that every answer is drawn from exactly one Snapshot, so that
// its numbers belong together, that lists keep the order of the configuration
// file, and that nothing of the data path is touched: what it costs to gather a
// Snapshot is its Source's affair, and rendering one stalls nobody. The JSON is
// a public contract: names and meanings stay, members may be added.
//
// Use: NewAdminHandler is for the admin listener, NewHealthHandler, which shows
// nothing of the inside, for health_listen; HTTPServer serves either.
//
// Who reads is not asked who he is: who may not see all this is to be kept from
// the listener. Who changes something, or asks for single clients, is (Access).
// HEAD works wherever GET does; other methods get 405, other paths 404.
package admin
