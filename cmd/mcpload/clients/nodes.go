package clients

import (
	"slices"
	"sync"
)

// MaxNodes bounds how many nodes are distinguished. Number 0 is the unknown node.
const MaxNodes = 256

// nodes numbers the nodes by the names that they report. It is safe for concurrent
// use.
type nodes struct {
	mu      sync.RWMutex
	numbers map[string]uint8 // guarded by mu
	names   []string         // guarded by mu; names[0] is "", the unknown node
}

func newNodes() *nodes { return &nodes{numbers: map[string]uint8{}, names: []string{""}} }

// number returns the number of a node; 0 for "" and if there are too many.
func (n *nodes) number(name []byte) uint8 {
	if len(name) == 0 {
		return 0
	}
	n.mu.RLock()
	number, known := n.numbers[string(name)]
	n.mu.RUnlock()
	if known {
		return number
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if number, known := n.numbers[string(name)]; known || len(n.names) == MaxNodes {
		return number
	}
	number = uint8(len(n.names))
	n.numbers[string(name)] = number
	n.names = append(n.names, string(name))
	return number
}

// name returns the name of a node.
func (n *nodes) name(number uint8) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.names[number]
}

// all returns the nodes' names, indexed by their numbers.
func (n *nodes) all() []string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Clone(n.names)
}
