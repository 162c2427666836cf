// Package proc starts and stops child processes and reads what processes have in
// use, as the kernel reports it (proc(5)).
package proc
