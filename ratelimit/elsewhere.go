package ratelimit

// AccountCount is how many requests are under way for an account.
type AccountCount struct {
	Key    AccountKey
	Active int
}

// Active returns the accounts for which requests are under way here, for the new process
// of an upgrade: it has to count those that stay.
func (a *Accounts) Active() (list []AccountCount) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, c := range a.byKey {
		if c.active > 0 {
			list = append(list, AccountCount{key, c.active})
		}
	}
	return list
}

// SetElsewhere says how many requests are under way in the old process of an upgrade, in
// place of what was said before. They count until that says otherwise, or they are
// continued here (Reinstate).
func (a *Accounts) SetElsewhere(list []AccountCount, now int64) {
	a.mu.Lock()
	before := a.elsewhere
	a.elsewhere = make(map[AccountKey]*account, len(list))
	for _, one := range list {
		if one.Active <= 0 || a.elsewhere[one.Key] != nil {
			continue
		}
		c := a.hold(one.Key, now)
		c.elsewhere = one.Active
		a.elsewhere[one.Key] = c
	}
	var free woken
	for key, c := range before {
		if a.elsewhere[key] == nil {
			c.elsewhere = 0
		}
		free = c.movedUp(free)
		a.release(c)
	}
	a.mu.Unlock()
	free.wake()
}
