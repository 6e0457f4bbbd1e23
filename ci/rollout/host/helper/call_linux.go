package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// longest is how long a request's line may be. Releases with their units are some kilobytes.
const longest = 4 << 20

// longestTTL is how long a lease can last without a heartbeat.
const longestTTL = time.Hour

// call answers one request.
func (m *machine) call(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	reader := bufio.NewReaderSize(stdin, 64<<10)
	request, err := readRequest(reader)
	if err != nil {
		return respond(stdout, protocol.Response{Error: answer(err)})
	}
	response, err := m.answer(ctx, request, exchange{body: reader, lines: stderr})
	if err != nil {
		response.Error = answer(err)
	}
	return respond(stdout, response)
}

func respond(w io.Writer, response protocol.Response) error {
	if err := json.NewEncoder(w).Encode(response); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// exchange is what a request has beside its line.
type exchange struct {
	body  io.Reader
	lines io.Writer // for people
}

// readRequest reads a line of JSON, and refuses what it does not know.
func readRequest(reader *bufio.Reader) (protocol.Request, error) {
	var line []byte
	for {
		part, err := reader.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > longest {
			return protocol.Request{}, refuse("", "the request is longer than %d bytes", longest)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
			return protocol.Request{}, fmt.Errorf("read request: %w", err)
		}
		break
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	var request protocol.Request
	if err := decoder.Decode(&request); err != nil {
		return protocol.Request{}, refuse("", "the request cannot be read: %v", err)
	}
	if request.Version != protocol.Version {
		return protocol.Request{}, refuse("deploy with the slipway that brought this helper", "the request has version %d, and this helper knows %d", request.Version, protocol.Version)
	}
	return request, nil
}

// answer does what is asked for.
func (m *machine) answer(ctx context.Context, request protocol.Request, with exchange) (protocol.Response, error) {
	if request.Verb == protocol.Facts {
		facts, err := m.facts(ctx, request)
		return protocol.Response{Machine: facts}, err
	}
	s, err := m.service(request.Service)
	if err != nil {
		return protocol.Response{}, err
	}
	defer s.close()
	if answers, ok := s.reads()[request.Verb]; ok {
		return answers(ctx, request, with)
	}
	if do, ok := s.writes()[request.Verb]; ok {
		return protocol.Response{}, do(ctx, request, with)
	}
	if do, ok := s.steps()[request.Verb]; ok {
		if request.Step == nil {
			return protocol.Response{}, refuse("", "%s: there is no step", request.Verb)
		}
		return protocol.Response{}, s.step(ctx, request.Fence, func() error { return do(ctx, request) })
	}
	return protocol.Response{}, refuse("", "there is no verb %q", request.Verb)
}

type (
	asked   func(context.Context, protocol.Request, exchange) (protocol.Response, error)
	wanted  func(context.Context, protocol.Request, exchange) error
	stepped func(context.Context, protocol.Request) error
)

// reads are the verbs that answer with something.
func (s *service) reads() map[protocol.Verb]asked {
	return map[protocol.Verb]asked{
		protocol.Missing: func(_ context.Context, r protocol.Request, _ exchange) (protocol.Response, error) {
			missing, err := s.missing(r.Blobs)
			return protocol.Response{Missing: missing}, err
		},
		protocol.Acquire: func(ctx context.Context, r protocol.Request, _ exchange) (protocol.Response, error) {
			lease, err := s.acquire(ctx, r.Owner, time.Duration(r.TTL))
			return protocol.Response{Lease: lease}, err
		},
		protocol.Observe: func(ctx context.Context, r protocol.Request, _ exchange) (protocol.Response, error) {
			state, err := s.observe(ctx, r.Place.Target)
			return protocol.Response{State: state}, err
		},
		protocol.Probe: func(ctx context.Context, r protocol.Request, _ exchange) (protocol.Response, error) {
			sample, err := s.probe(ctx, r.Place)
			return protocol.Response{Sample: sample}, err
		},
		protocol.Ask: func(ctx context.Context, r protocol.Request, _ exchange) (protocol.Response, error) {
			answers, err := s.request(ctx, r.Place, r.Path, r.Times)
			return protocol.Response{Answers: answers}, err
		},
		protocol.Hook: func(ctx context.Context, r protocol.Request, with exchange) (protocol.Response, error) {
			result, err := s.hook(ctx, r, with.lines)
			return protocol.Response{Hook: result}, err
		},
		protocol.History: func(context.Context, protocol.Request, exchange) (protocol.Response, error) {
			entries, broken, err := s.history()
			return protocol.Response{Entries: entries, Broken: broken}, err
		},
	}
}

// writes are the verbs that need no lease, or are about it.
func (s *service) writes() map[protocol.Verb]wanted {
	return map[protocol.Verb]wanted{
		protocol.Put: func(_ context.Context, r protocol.Request, with exchange) error {
			if len(r.Blobs) != 1 || r.Size < 0 {
				return refuse("", "put: it takes one digest and a size")
			}
			return s.put(r.Blobs[0], r.Size, with.body)
		},
		protocol.Stage: func(ctx context.Context, r protocol.Request, _ exchange) error {
			if r.Release == nil {
				return refuse("", "stage: there is no release")
			}
			return s.stage(ctx, *r.Release)
		},
		protocol.Renew: func(ctx context.Context, r protocol.Request, _ exchange) error {
			return s.renew(ctx, r.Fence, time.Duration(r.TTL))
		},
		protocol.Return: func(ctx context.Context, r protocol.Request, _ exchange) error { return s.giveBack(ctx, r.Fence) },
		protocol.Record: func(ctx context.Context, r protocol.Request, _ exchange) error { return s.record(ctx, r) },
		protocol.Logs:   func(ctx context.Context, r protocol.Request, with exchange) error { return s.logs(ctx, r, with.lines) },
	}
}

// steps are the verbs of a rollout. Each is done alone, with the lease's number.
func (s *service) steps() map[protocol.Verb]stepped {
	return map[protocol.Verb]stepped{
		protocol.Start: func(ctx context.Context, r protocol.Request) error { return s.start(ctx, *r.Step) },
		protocol.Shift: func(ctx context.Context, r protocol.Request) error { return s.shift(ctx, r.Step.To) },
		protocol.Stop:  func(ctx context.Context, r protocol.Request) error { return s.stop(ctx, r.Step.Slot, r.Step.Release) },
		protocol.Prune: func(ctx context.Context, r protocol.Request) error { return s.prune(ctx, r.Step.Release) },
	}
}
