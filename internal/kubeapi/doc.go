// Package kubeapi is a Kubernetes API that serves EndpointSlices, for tests: list with
// pages, watch with bookmarks, and what goes wrong with a real one. It speaks TLS and
// wants a token.
package kubeapi
