package l4
import ("testing";"net";"sync")
func TestDbg(t *testing.T) {
	for range 30 {
	p := plan{seed: 30, up: 711837, down: 29, ending: clientResets}
	var wg sync.WaitGroup
	wg.Add(1)
	s := serve(t, func(c *net.TCPConn) { defer wg.Done(); if err := p.server(c); err != nil { t.Errorf("%v", err) } })
	b := begin(t, []string{s.address}, withPipes(0), withRetries(0))
	c := b.dial()
	report(t, p.both(c.TCPConn, clientResets, upward, p.up, downward, p.down))
	b.eventually("ended", func() bool { return b.frontend.Current() == 0 })
	wg.Wait()
	t.Log(nonzero(b.frontend.Totals().Ended))
	}
}
