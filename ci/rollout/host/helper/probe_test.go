//go:build linux

package main

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// An instance that takes two seconds for each answer gets as many requests as one that is quick, and they are over in time.
func TestRequestsOfOursAreSentSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inside, highest atomic.Int64
		begin := time.Now()
		answers, err := (&service{}).sideBySide(t.Context(), 100, func() bool {
			highest.Store(max(highest.Load(), inside.Add(1)))
			defer inside.Add(-1)
			return sleep(t.Context(), 2*time.Second) != nil
		})
		require.NoError(t, err)
		assert.Equal(t, 2500*time.Millisecond, time.Since(begin).Round(10*time.Millisecond), "spread over half a second")
		assert.EqualValues(t, 100, highest.Load())
		assert.Equal(t, 100, answers.Errors)
		require.Len(t, answers.Took, 100)
		for _, took := range answers.Took {
			assert.Equal(t, rollout.Duration(2*time.Second), took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := (&service{}).sideBySide(ctx, 10, func() bool { return true })
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
