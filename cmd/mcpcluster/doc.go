// Mcpcluster runs a complete MCP cluster on this machine: the nodes of a
// configuration and the balancer in front of them.
//
//	mcpcluster run [-c FILE]                 in the foreground, until Ctrl-C
//	mcpcluster start [-c FILE] [MEMBER...]   in the background, or members that have ended
//	mcpcluster stop [-kill] [MEMBER...]
//	mcpcluster restart [MEMBER...]
//	mcpcluster kill MEMBER...                as if they had crashed
//	mcpcluster status [-json]
//	mcpcluster tail [-f] MEMBER
//	mcpcluster compose -o DIRECTORY
//	mcpcluster version | help | completion
//
// It guarantees that nothing is started while a port is taken, that a member
// reported as ready has answered, and that no process outlives the mcpcluster that
// started it, in the foreground or in the background: it stops them in reverse
// order, and the kernel ends them if it is killed. It does not restart members that
// end by themselves, and it manages only processes on this machine.
//
// The commands find a cluster by its state directory (-state), which has the socket
// at which its mcpcluster answers, and the members' logs. A user has to name it only
// for a second cluster.
//
// Exit status: 0 if all went well (run: after SIGINT, SIGTERM or SIGHUP), 1 if
// something failed, 2 for a wrong command line.
package main
