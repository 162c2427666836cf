package conf

// checkAvailable refuses what lb.toml describes and this version cannot do
// yet, so that nothing is ever parsed and ignored. It goes when all is built.
func checkAvailable(c *Config, d *decoder) {
	for _, f := range c.Frontends {
		if f.TLS != nil {
			d.report(join("frontend", f.Name)+".tls", "is not available yet (TLS is still to come): leave it out, and end TLS in front of mcplb")
		}
		if f.AcceptProxy && f.Mode == ModeHTTP {
			d.report(join("frontend", f.Name)+".accept_proxy", `is not available yet with mode "http": leave it out`)
		}
	}
}
