// Hold opens many MCP connections through a balancer, keeps all of them open at
// once, sends a ping on each several times, and shows the memory and files that
// the balancer uses for them.
//
//	go run ./internal/suites/hold -to 127.0.0.1:8000 -n 30000 -pid $(pidof mcplb)
//
// Its clients come from many addresses of 127.200.0.0/16, so that neither ports
// nor the balancer's limits per source matter. It needs an open-files limit
// above -n, and starts neither the balancer nor its servers. The exit status is
// 1 if a connection could not be opened, broke, or got no response.
package main
