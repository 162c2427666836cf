// Mcpcluster runs a whole MCP cluster on this machine: the nodes of a
// configuration and the balancer in front of them.
//
//	mcpcluster run [-c FILE]                 in the foreground, until Ctrl-C
//	mcpcluster start [-c FILE] [MEMBER...]   in the background; or a member again
//	mcpcluster stop [-kill] [MEMBER...]
//	mcpcluster restart [MEMBER...]
//	mcpcluster status [-json]
//	mcpcluster tail [-f] MEMBER
//	mcpcluster compose -o DIRECTORY
//
// It guarantees that nothing is started while a port is taken, that what it
// reports as ready has answered, and that no process outlives the mcpcluster
// that started it, in the foreground or in the background: they end with it in
// reverse order, and even when it is killed. It restarts nothing that dies by
// itself, and it manages this machine's processes only.
//
// The commands find a cluster by its state directory (-state), which has a
// socket at which its mcpcluster answers, and the members' logs. One user needs
// to name it only for a second cluster.
//
// It exits with 0 when all went well (run: after SIGINT, SIGTERM or SIGHUP),
// with 1 when something failed, and with 2 when its command line is wrong.
package main
