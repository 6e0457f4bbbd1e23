package main

import (
	"errors"
	"fmt"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// problem is an error that callers tell apart. All others are Failed.
type problem protocol.Error

func (p *problem) Error() string { return p.Message }

// refuse says that nothing was changed, and what to do.
func refuse(next, format string, args ...any) error {
	return &problem{Kind: protocol.Refused, Message: fmt.Sprintf(format, args...), Next: next}
}

func fenced() error {
	return &problem{Kind: protocol.Fenced, Message: rollout.ErrFenced.Error()}
}

func held(by rollout.Lease) error {
	return &problem{Kind: protocol.Held, Message: "it is being changed by " + by.Owner, Lease: &by}
}

// answer is an error as it is sent.
func answer(err error) *protocol.Error {
	var p *problem
	if errors.As(err, &p) {
		sent := protocol.Error(*p)
		sent.Message = err.Error()
		return &sent
	}
	return &protocol.Error{Kind: protocol.Failed, Message: err.Error()}
}
