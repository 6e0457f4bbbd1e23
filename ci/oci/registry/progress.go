package registry

import "sync"

// tally counts the bytes of a push, and tells of them.
type tally struct {
	client *Client
	Progress
}

func (t *tally) change(by func(p *Progress)) {
	t.client.telling.Lock()
	defer t.client.telling.Unlock()
	by(&t.Progress)
	if t.client.options.OnProgress != nil {
		t.client.options.OnProgress(t.Progress)
	}
}

func (t *tally) skip(bytes int64) { t.change(func(p *Progress) { p.Skipped += bytes }) }

// part counts the bytes of one blob or manifest over several tries.
type part struct {
	tally *tally
	size  int64

	mu    sync.Mutex
	moved int64 // by this try
	last  int64 // by the last one before that moved any
}

// begin gives up the bytes of the try before: it has failed.
func (p *part) begin() {
	p.mu.Lock()
	lost := p.moved
	if lost > 0 {
		p.last, p.moved = lost, 0
	}
	p.mu.Unlock()
	if lost > 0 {
		p.tally.change(func(t *Progress) { t.Sent -= lost; t.Wasted += lost })
	}
}

func (p *part) sent(n int) {
	p.mu.Lock()
	p.moved += int64(n)
	p.mu.Unlock()
	p.tally.change(func(t *Progress) { t.Sent += int64(n) })
}

// arrived is called when the registry has all of it. What it got more than once
// within one try, after a new login, is not counted as sent.
func (p *part) arrived() {
	p.mu.Lock()
	more := p.moved - p.size
	p.mu.Unlock()
	if more > 0 {
		p.tally.change(func(t *Progress) { t.Sent -= more; t.Wasted += more })
	}
}

// there is called when the registry turns out to have it. Then the try before
// was a success of which we never heard, or it was there from the beginning.
func (p *part) there() {
	if p.last >= p.size && p.size > 0 {
		p.tally.change(func(t *Progress) { t.Sent += p.size; t.Wasted -= p.size })
		return
	}
	p.tally.skip(p.size)
}
