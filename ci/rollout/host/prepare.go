package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
	"github.com/slipway-ci/slipway/ci/rollout/host/remote"
)

// Fact is what a host is. Its Problems are things that may stand in the way; what does is an error.
type Fact struct {
	Host string
	protocol.Machine
}

// Preflight looks whether a release can be rolled out, on all hosts at once. Its error has every problem of every host, and
// what to do about each. Nothing is changed but that the helper is there.
func (d *Driver) Preflight(ctx context.Context, r Rendered) ([]Fact, error) {
	facts := map[string]Fact{}
	var mu sync.Mutex
	err := d.each(d.Targets(), func(m *machine) error {
		fact, err := d.facts(ctx, m, r)
		mu.Lock()
		defer mu.Unlock()
		facts[m.host.Name] = fact
		return err
	})
	list := make([]Fact, len(d.Hosts))
	for i, host := range d.Hosts {
		list[i] = facts[host.Name]
	}
	return list, err
}

func (d *Driver) facts(ctx context.Context, m *machine, r Rendered) (Fact, error) {
	fact := Fact{Host: m.host.Name}
	arch, err := m.arch(ctx)
	if err != nil {
		return fact, err
	}
	if _, ok := r.Hosts[arch]; !ok {
		return fact, m.refuse("it is "+arch+", for which the release was not built", "add linux/"+arch+" to the targets in slipway.yaml")
	}
	needs := r.Needs(arch)
	response, err := d.askMachine(ctx, m, protocol.Request{Verb: protocol.Facts, Needs: &needs})
	if err != nil {
		return fact, err
	}
	if response.Machine == nil {
		return fact, fmt.Errorf("%s: the helper told nothing", m.host.Name)
	}
	fact.Machine = *response.Machine
	var problems []error
	fact.Problems = nil
	for _, problem := range response.Machine.Problems {
		if problem.Perhaps {
			fact.Problems = append(fact.Problems, problem)
		} else {
			problems = append(problems, &remote.RefusedError{Address: m.host.Name, What: problem.What, Next: problem.Next})
		}
	}
	return fact, errors.Join(problems...)
}

// arch is Go's name of the machine's architecture.
func (m *machine) arch(ctx context.Context) (arch string, err error) {
	err = persist(ctx, func() error {
		_, what, err := m.connect(ctx)
		arch = what.arch
		return err
	})
	return arch, err
}

// Progress is how far an upload to a host is, in bytes. What is there already is not in Total.
type Progress struct {
	Host        string
	Sent, Total int64
}

// Upload sends what hosts do not have yet, to all of them at once. Progress is told by one goroutine at a time, if it is not nil.
// An upload that was cut off is started again by the next one: what arrived completely is kept.
func (d *Driver) Upload(ctx context.Context, r Rendered, progress func(Progress)) error {
	var telling sync.Mutex
	return d.each(d.Targets(), func(m *machine) error {
		return d.upload(ctx, m, r, func(p Progress) {
			if progress != nil {
				telling.Lock()
				defer telling.Unlock()
				progress(p)
			}
		})
	})
}

func (d *Driver) upload(ctx context.Context, m *machine, r Rendered, tell func(Progress)) error {
	arch, err := m.arch(ctx)
	if err != nil {
		return err
	}
	response, err := d.askMachine(ctx, m, protocol.Request{Verb: protocol.Missing, Blobs: blobsOf(r.Hosts[arch])})
	if err != nil {
		return err
	}
	progress := Progress{Host: m.host.Name}
	for _, digest := range response.Missing {
		progress.Total += r.Blobs[digest].Size
	}
	tell(progress)
	for _, digest := range response.Missing {
		blob, ok := r.Blobs[digest]
		if !ok {
			return fmt.Errorf("%s: it wants %s, which the release does not have", m.host.Name, digest)
		}
		before := progress
		if err := d.put(ctx, m, blob, func(n int64) { tell(Progress{before.Host, before.Sent + n, before.Total}) }); err != nil {
			return err
		}
		progress.Sent += blob.Size
	}
	return nil
}

// slowest is the least speed of an upload, in bytes a second.
const slowest = 16 << 10

func (d *Driver) put(ctx context.Context, m *machine, blob Blob, sent func(int64)) error {
	limit := d.Answer + time.Duration(blob.Size/slowest)*time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%d bytes did not arrive within %s", blob.Size, limit))
	defer cancel()
	_, err := m.insist(ctx, question{
		request: protocol.Request{Service: d.Service, Verb: protocol.Put, Blobs: []string{blob.SHA256}, Size: blob.Size},
		body: func() (io.ReadCloser, error) {
			content, err := blob.Open()
			return &counted{ReadCloser: content, tell: sent}, err
		},
	})
	return err
}

// counted tells how much of something was read.
type counted struct {
	io.ReadCloser
	tell func(int64)
	n    int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.n += int64(n); n > 0 {
		c.tell(c.n)
	}
	return n, err
}

// Stage puts a release in its place on all hosts, without starting it.
func (d *Driver) Stage(ctx context.Context, r Rendered) error {
	return d.each(d.Targets(), func(m *machine) error {
		arch, err := m.arch(ctx)
		if err != nil {
			return err
		}
		release := r.Hosts[arch]
		_, err = d.askMachine(ctx, m, protocol.Request{Verb: protocol.Stage, Release: &release})
		return err
	})
}
