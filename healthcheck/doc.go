// Package healthcheck turns evidence into verdicts: it says which servers of
// a backend are up and which are down.
//
// It guarantees:
//
//   - One verdict, reached by rule: rise checks passed in a row make a server
//     up, fall checks failed in a row make it down, and what speaks against a
//     verdict starts checks at fast_interval. A server that was never judged
//     is judged by its first check.
//   - A server that does not answer a check within fast_interval is suspect
//     (others are preferred) before it is down: it gets no new clients after
//     interval + fast_interval, while others can take them.
//   - What clients meet (observe) hurries the verdict: a refused connection
//     counts as a failed check and causes the next one at once. So a process
//     that died is down within milliseconds of the first client that noticed.
//     Reset connections cause checks, but never take a server down alone.
//   - A fault of the balancer's own (no descriptors, no ports, no memory) is no
//     evidence against a server.
//   - Checks are spread over the interval, and never start all at once.
//
// A Checker belongs to one backend. It is made with New, told what to check
// with Apply, as often as the configuration changes, fed by Observe from the
// data path, and ended with Stop. Only a change of a verdict reaches the
// backend.Pool, which alone decides what a server's state is.
//
// It does not balance, does not close connections, and knows nothing of
// administrators but that a server in maintenance is not to be checked. It
// judges by the type of check that is configured: a tcp check does not see a
// process that hangs, and none sees an endpoint that it does not ask.
package healthcheck
