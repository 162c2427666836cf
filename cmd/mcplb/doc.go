// Command mcplb is the balancer, mcplb -c lb.toml, and the commands for an operator
// of a running one, such as mcplb status.
//
// The balancer runs in the foreground and logs to standard error. SIGHUP reloads the
// configuration in place. SIGUSR2 starts a new process of the binary and hands every
// connection over to it. SIGTERM, SIGINT and SIGQUIT drain, at most for
// hard_stop_after; a second one stops at once. SIGABRT ends it with the stacks of its goroutines.
//
// The commands send requests to the balancer's admin address.
package main
