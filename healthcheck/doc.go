// Package healthcheck checks the servers of a backend and decides which are up and
// which are down.
//
// It guarantees:
//
//   - One verdict per server, reached by fixed rules: rise successful checks in a
//     row make a server up, fall failed checks in a row make it down. A result
//     that contradicts the verdict starts checks at fast_interval. The first check
//     decides about a server without a verdict.
//   - A server that does not answer a check within fast_interval is suspect (others
//     are preferred) before it is down. So a hung server gets no new clients after
//     interval + fast_interval, as long as another server is usable.
//   - Failures of client connections (observe) speed up the verdict: a refused
//     connection counts as a failed check and starts a check immediately. So a
//     server whose process died is down within milliseconds of the first client
//     that connects to it. Reset connections start checks, but never take a server
//     down alone.
//   - A server whose answer says so (drain_on) is up and asks to be drained, from the
//     first such answer to the first good one.
//   - The head of an HTTP response decides, unless the check looks for something in
//     the body.
//   - A check of an MCP server leaves no session there, even if the server announces
//     it after the check has timed out.
//   - A local failure of the balancer (no descriptors, ports or memory) is not
//     evidence against a server.
//   - Checks are spread over the interval and never start all at once.
//
// A Checker belongs to one backend. Create it with New, configure it with Apply as
// often as the configuration changes, pass results of client connections to
// Observe, and end it with Stop. It reports only changes of a verdict to the
// backend.Pool, which alone determines a server's state.
//
// The package does not balance and does not close connections. Of the
// administrator's settings it uses only one: a server in maintenance is not
// checked. A verdict depends on the configured type of check: a tcp check does not
// detect a hung process, and no check covers an endpoint that it does not use.
package healthcheck
