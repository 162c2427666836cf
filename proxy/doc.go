// Package proxy is the balancer as a whole: it turns a configuration into
// frontends, pools, checks and limits on one event engine, and one
// configuration into the next while clients are connected.
//
// Start opens everything or nothing. Apply changes what runs to what another
// configuration says: it fails before it has changed anything, or not at all,
// and no client that is connected notices. Stop drains. What the balancer does
// at the moment is told by Snapshot.
package proxy
