package l7

import "mcplb/conf"

// pages are the error pages of a frontend: the bodies of generated responses. The
// zero value has none.
type pages map[int]*conf.ErrorPage // by status, or by class

func newPages(list []conf.ErrorPage) pages {
	made := make(pages, len(list))
	for i := range list {
		made[list[i].Status] = &list[i]
	}
	return made
}

// of returns the page for a status, nil if there is none: its own goes before that of
// its class.
func (p pages) of(status int) *conf.ErrorPage {
	if page := p[status]; page != nil || len(p) == 0 {
		return page
	}
	return p[status/100]
}
