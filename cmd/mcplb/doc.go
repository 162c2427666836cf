// Command mcplb is the balancer: mcplb -c lb.toml.
//
// It runs in the foreground and logs to standard error. SIGHUP reads the file
// again and changes what runs in place; SIGUSR2 starts the binary anew and hands
// everything over to it; SIGTERM and SIGINT drain, for hard_stop_after at the
// most, and a second one stops at once.
package main
