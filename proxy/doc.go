// Package proxy is the complete balancer: it turns a configuration into
// frontends, pools, checks and limits on one event engine, and changes it into
// the next configuration while clients are connected.
//
//	p, err := proxy.Start(config, options)
//	p.Apply(changed)        // a reload
//	p.Snapshot()            // for the admin pages
//	p.Control()             // the runtime commands
//	p.Handover()            // for a new binary
//	p.Stop(ctx)
//
// Start opens everything or nothing. Apply changes what runs to what another
// configuration says: it either fails before it has changed anything or succeeds,
// and no connected client notices. Stop drains.
//
// A Proxy consists of types with one job each: listeners, components (frontends
// and backends, and those that are leaving), change (a reload), connectionLimiter
// (maxconn), disconnector (clients of lost servers), view (snapshots), control and
// Handover.
package proxy
