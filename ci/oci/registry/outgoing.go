package registry

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// outgoing is the body of one request. It keeps apart what fails on our side
// and what fails on the way, which the connection reports alike.
type outgoing struct {
	body  *body
	watch *watch

	mu     sync.Mutex
	failed error
}

func (o *outgoing) open() (io.ReadCloser, error) {
	content, err := o.body.open()
	if err != nil {
		o.fail(err)
		return nil, err
	}
	return &outgoingReader{ReadCloser: content, of: o}, nil
}

func (o *outgoing) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed = err
}

// failure is what failed on our side.
func (o *outgoing) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}

type outgoingReader struct {
	io.ReadCloser
	of     *outgoing
	read   int64
	closed atomic.Bool // by a connection that has given up
}

func (r *outgoingReader) Close() error {
	r.closed.Store(true)
	return r.ReadCloser.Close()
}

// Read looks beyond the last byte before it hands it on: content that turns out
// to be damaged, or of another size, is never sent whole.
func (r *outgoingReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.read += int64(n)
	if err == nil && r.read == r.of.body.size {
		err = r.end()
	}
	if errors.Is(err, io.EOF) && r.read != r.of.body.size || r.read > r.of.body.size {
		err = fmt.Errorf("it has another size than %d bytes", r.of.body.size)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		if !r.closed.Load() {
			r.of.fail(err)
		}
		return 0, err
	}
	r.of.moved(n, r.read)
	return n, err
}

// end reads what should be the end.
func (r *outgoingReader) end() error {
	more, err := io.ReadFull(r.ReadCloser, make([]byte, 1))
	r.read += int64(more)
	return err
}

// moved tells of bytes that go out.
func (o *outgoing) moved(n int, read int64) {
	o.watch.move(n)
	if n > 0 && o.body.sent != nil {
		o.body.sent(n)
	}
	if n > 0 && read >= o.body.size {
		o.watch.sent(o.body.size)
	}
}
