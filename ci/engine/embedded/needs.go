package embedded

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// rowPatience is how long finding out about one need may take: a command may hang, and so may a disk in the network.
const rowPatience = 10 * time.Second

// row is one need and what finds out about it.
type row struct {
	name string
	look func(ctx context.Context) Need
}

// look asks for all rows at once, each with a deadline of its own.
func look(ctx context.Context, patience time.Duration, rows []row) []Need {
	needs := make([]Need, len(rows))
	var all sync.WaitGroup
	for i, r := range rows {
		all.Go(func() { needs[i] = r.within(ctx, patience) })
	}
	all.Wait()
	return needs
}

// within does not wait for a probe that hangs; it is left behind.
func (r row) within(ctx context.Context, patience time.Duration) Need {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found := make(chan Need, 1)
	go func() { found <- r.look(ctx) }()
	select {
	case n := <-found:
		if !n.Found && ctx.Err() != nil {
			return r.hangs(patience)
		}
		return n
	case <-ctx.Done():
		return r.hangs(patience)
	}
}

func (r row) hangs(patience time.Duration) Need {
	return Need{Name: r.name, Detail: fmt.Sprintf("no answer within %s", patience), Fix: "find out what hangs, then try again: a command of this name, or a disk in the network"}
}
