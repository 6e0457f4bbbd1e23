package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tick is how often people hear that a long step still runs.
const tick = 10 * time.Second

// layer is a directory that is built once and never changed. Together, as lower directories of an overlay, layers are the
// engine's root.
type layer struct {
	name  string
	title string
	key   string
	build func(ctx context.Context, dir string) error
}

func (l layer) base() string { return l.name + "-" + l.key }

func (l layer) exists(layers string) bool {
	info, err := os.Stat(filepath.Join(layers, l.base()))
	return err == nil && info.IsDir()
}

// buildLayers builds what is missing, each layer under its own lock, and says how far it is.
func buildLayers(ctx context.Context, opts Options, what string, all []layer) (built bool, err error) {
	dir := opts.layout().layers()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, fmt.Errorf("create the cache: %w (choose another place with XDG_CACHE_HOME)", err)
	}
	var missing []layer
	for _, l := range all {
		if !l.exists(dir) {
			missing = append(missing, l)
		}
	}
	for i, l := range missing {
		text := fmt.Sprintf("building %s (%d of %d): %s", what, i+1, len(missing), l.title)
		done, err := buildOne(ctx, opts, dir, l, text)
		if err != nil {
			return built, fmt.Errorf("build %s: %w", l.title, err)
		}
		built = built || done
	}
	return built, nil
}

func buildOne(ctx context.Context, opts Options, dir string, l layer, text string) (bool, error) {
	lock, err := waitLock(ctx, filepath.Join(dir, "."+l.name+".lock"), func() {
		opts.progress("waiting for another slipway that is " + text)
	})
	if err != nil {
		return false, err
	}
	defer lock.Close()
	if l.exists(dir) {
		return false, nil
	}
	opts.progress(text)
	stop := every(tick, func(elapsed time.Duration) { opts.progress(text + " … " + elapsed.String()) })
	defer stop()
	return true, buildInto(ctx, dir, l)
}

// buildInto builds in a directory beside the final one and renames it: what has the final name is complete.
func buildInto(ctx context.Context, dir string, l layer) error {
	if err := removeLeftovers(dir, l.name); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(dir, ".build-"+l.name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	if err := l.build(ctx, temp); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(dir, l.base()))
}

// removeLeftovers removes what an interrupted build left. The caller holds the layer's lock, so nobody builds there now.
func removeLeftovers(dir, name string) error {
	left, err := filepath.Glob(filepath.Join(dir, ".build-"+name+"-*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// every calls report with the time that has gone by, until stop is called; stop returns when no call is under way.
func every(d time.Duration, report func(time.Duration)) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	start := time.Now()
	go func() {
		defer close(done)
		ticker := time.NewTicker(d)
		defer ticker.Stop()
		for {
			select {
			case <-quit:
				return
			case now := <-ticker.C:
				report(now.Sub(start).Round(time.Second))
			}
		}
	}()
	return func() { close(quit); <-done }
}

// lastLines are what is shown of a long output.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
