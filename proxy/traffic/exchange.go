package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// ErrCut is the end of a request that was still in flight when its upstream's drain timeout was over.
var ErrCut = errors.New("cut: the instance that served it leaves")

// Exchange is one request on its way, from the choice of an upstream to the last byte for the client.
type Exchange struct {
	traffic *Traffic
	now     *attempt
	tried   []*Upstream
	upload  *upload
}

// upload is the body that a client sends. Where it fails, that is nobody's fault but the client's.
type upload struct {
	io.ReadCloser
	failed atomic.Pointer[error]
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		u.failed.Store(&err)
	}
	return n, err
}

// err is why the body could not be read, nil when it could.
func (u *upload) err() error {
	if u == nil || u.failed.Load() == nil {
		return nil
	}
	return *u.failed.Load()
}

// ClientError is why the request's body could not be read, nil when it could.
func (x *Exchange) ClientError() error { return x.upload.err() }

// Upstream is where the request goes.
func (x *Exchange) Upstream() *Upstream { return x.now.upstream }

// Tried says whether the request was sent to its upstream already.
func (x *Exchange) Tried() bool { return slices.Contains(x.tried, x.now.upstream) }

// Again moves a request that failed to an upstream that it was not tried on. It is false when there is none.
func (x *Exchange) Again() bool {
	next := x.traffic.enter(x.tried)
	if next == nil {
		return false
	}
	x.now.leave()
	x.now = next
	return true
}

// End is when the client has everything, or is gone.
func (x *Exchange) End() { x.now.leave() }

// RoundTrip sends the request to its upstream and counts what comes of it.
func (x *Exchange) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(request.Context())
	a := x.now
	x.tried = append(x.tried, a.upstream)
	if !a.begin(cancel) {
		cancel()
		return nil, ErrCut
	}
	sent := request.WithContext(ctx)
	if sent.Body != nil && sent.Body != http.NoBody {
		x.upload = &upload{ReadCloser: sent.Body}
		sent.Body = x.upload
	}
	response, err := a.upstream.pool.RoundTrip(sent)
	if err != nil {
		defer cancel()
		return nil, a.failed(request.Context(), x.upload, err)
	}
	if !a.answered(response, cancel) {
		cancel()
		response.Body.Close()
		return nil, ErrCut
	}
	response.Body = a.follow(request.Context(), response, cancel)
	return response, nil
}

func (a *attempt) begin(cancel func()) (ok bool) {
	u := a.upstream
	u.locked(func() {
		if ok = !a.cut; ok {
			u.requests++
			a.sent, a.waiting, a.abort = u.clock(), true, cancel
		}
	})
	return ok
}

// failed counts an error of the upstream. A client that went away, or did not send what it said, is none.
func (a *attempt) failed(client context.Context, upload *upload, err error) error {
	u := a.upstream
	u.locked(func() {
		a.waiting = false
		switch {
		case a.cut:
			err = ErrCut
		case client.Err() == nil && upload.err() == nil:
			u.errors++
			u.last = err.Error()
		}
	})
	return err
}

// answered counts an answer. It is false when the request was cut at this moment.
func (a *attempt) answered(response *http.Response, cancel func()) (ok bool) {
	u := a.upstream
	u.locked(func() {
		if ok = !a.cut; !ok {
			return
		}
		now := u.clock()
		u.window.add(int64(now/time.Second), now-a.sent)
		if response.StatusCode >= http.StatusInternalServerError {
			u.errors++
			u.last = fmt.Sprint("answered ", response.StatusCode)
		}
		source := response.Body
		a.waiting, a.abort = false, func() {
			cancel()
			source.Close()
		}
	})
	return ok
}

// short counts a body that ended too early.
func (a *attempt) short(client context.Context, err error) error {
	u := a.upstream
	u.locked(func() {
		switch {
		case a.cut:
			err = ErrCut
		case client.Err() == nil:
			u.errors++
			u.last = "its answer ended early: " + err.Error()
		}
	})
	return err
}

// follow watches an answer's body.
func (a *attempt) follow(client context.Context, response *http.Response, cancel func()) io.ReadCloser {
	b := &body{ReadCloser: response.Body, attempt: a, client: client, cancel: cancel}
	b.upgraded = response.StatusCode == http.StatusSwitchingProtocols
	if writer, ok := response.Body.(io.Writer); ok && b.upgraded {
		return connection{b, writer}
	}
	return b
}

// body is what an upstream answers.
type body struct {
	io.ReadCloser
	attempt  *attempt
	client   context.Context
	cancel   func()
	upgraded bool // it is a connection, which ends when one side wants
	counted  atomic.Bool
}

// connection is a body that can be written to, after an upgrade.
type connection struct {
	*body
	io.Writer
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !b.upgraded && !b.counted.Swap(true) {
		err = b.attempt.short(b.client, err)
	}
	return n, err
}

func (b *body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
