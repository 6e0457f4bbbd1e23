package host

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Architectures are those of the hosts, by Go's names, each once. They are found out before there are programs for them: of the
// options, Helpers may be missing. What is wrong with single hosts is told beside those of the others.
func Architectures(ctx context.Context, o Options) ([]string, error) {
	o.Helpers = map[string]Program{}
	for _, arch := range architectures {
		o.Helpers[arch] = Program{} // none is used: nothing is asked of a helper
	}
	d, err := New(o)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	found := map[string]bool{}
	var mu sync.Mutex
	err = d.each(d.Targets(), func(m *machine) error {
		ctx, cancel := d.deadline(ctx)
		defer cancel()
		arch, err := m.arch(ctx)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		found[arch] = true
		return nil
	})
	return slices.Sorted(maps.Keys(found)), err
}
