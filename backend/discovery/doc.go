// Package discovery finds the servers of backends while the balancer runs: by names,
// by a file, and by Kubernetes. It knows no socket of a client and no backend.
//
//	w := discovery.Start(discovery.NewSource(settings, lookup), settings.Most, discovery.State{}, changed)
//	w.Wait(ctx)                  // until there is a first answer
//	servers := w.State().Servers // as last found, whatever has failed since
//
// A Source says which servers there are, or why it cannot say. What was found stays
// found until the source says otherwise: an error takes nothing away. Servers have
// stable names, since sessions' tags hash names: that of the pod, target:port of an SRV
// record, or the address. Whatever the order of an answer, the servers are the same.
//
// What is not done: health. A found server is checked like any other.
package discovery
