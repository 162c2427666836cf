package backend

import "mcplb/conf"

// EffectiveWeight returns the weight that balancing goes by now: the server's
// own, or less during slow start. It is 0 for a server that a reload removed.
func (p *Pool) EffectiveWeight(s *Server) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.slot == removed {
		return 0
	}
	return float64(p.slots[s.slot].effective) / weightScale
}

// Remembered returns how many sources' servers are remembered (policy source).
func (p *Pool) Remembered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.memory.first)
}

// QueuedPeak returns the most that ever waited for a slot at once.
func (p *Pool) QueuedPeak() int { return int(p.queuedPeak.Load()) }

// ClearPeaks has the peaks of the pool and of its servers begin anew with what
// is now.
func (p *Pool) ClearPeaks() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queuedPeak.Store(p.queued.Load())
	for _, s := range p.Servers() {
		s.peak.Store(s.conns.Load())
	}
}

// InForce is Config without the copy: it must not be changed.
func (p *Pool) InForce() *conf.Backend { return p.config.Load() }
