// Hold opens many MCP connections through a balancer, keeps all of them open
// at once, and has every one answer, several times over. It shows what the
// balancer takes for that.
//
//	hold -to 127.0.0.1:8000 -n 30000 -pid $(pidof mcplb)
//
// Its clients come from many addresses of 127.200.0.0/16, so neither ports nor
// the balancer's limits on a single source stand in the way. It needs an
// open-files limit above -n. The exit status is 1 when a connection could not
// be opened, broke, or was not answered.
package main
