package registry

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// leastProgress is how many bytes must move in the idle time. A connection
// that gives a byte in a second moves, but gets nowhere.
const leastProgress = 1 << 10

// checkedAtRate is how many bytes in a second a registry is thought to check
// and store, after they came and before it answers.
const checkedAtRate = 8 << 20

var errStalled = errors.New("no progress")

// watch ends a request that stands still.
type watch struct {
	idle   time.Duration
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	moved int64
	timer *time.Timer
}

func watched(ctx context.Context, idle time.Duration) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{idle: idle, cancel: cancel}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(idle, w.look)
	return ctx, w
}

// look is called when an idle time is over.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.moved < leastProgress {
		w.cancel(errStalled)
		return
	}
	w.moved = 0
	w.timer.Reset(w.idle)
}

func (w *watch) move(bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moved += int64(bytes)
}

// sent says that all of a body is out: it is the registry's turn, and it needs
// longer for more.
func (w *watch) sent(bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moved = 0
	w.timer.Reset(w.idle + time.Duration(bytes/checkedAtRate)*time.Second)
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.cancel(nil)
}

// moving is an answer's body that tells the watch of its bytes.
type moving struct {
	io.ReadCloser
	watch *watch
}

func (m moving) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	m.watch.move(n)
	return n, err
}
