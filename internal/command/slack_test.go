package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSlackWritesAllInOrder(t *testing.T) {
	var out bytes.Buffer
	s := newSlack(&out)
	for _, text := range []string{"one ", "two ", "three"} {
		_, err := io.WriteString(s, text)
		require.NoError(t, err)
	}
	s.finish(t.Context())
	assert.Equal(t, "one two three", out.String())
}

// A reader that does not read holds up the end of the program, and an interrupt ends that too.
func TestSlackWithAReaderThatSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		s := newSlack(writer)
		_, err := io.WriteString(s, strings.Repeat("line\n", 1000))
		require.NoError(t, err, "the run is not held up")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		begun := time.Now()
		s.finish(ctx)
		assert.Equal(t, time.Minute+lastWords, time.Since(begun))
		require.NoError(t, reader.Close())
		synctest.Wait()
	})
}

func TestSlackWithAReaderThatHasGone(t *testing.T) {
	gone := errors.New("broken pipe")
	reader, writer := io.Pipe()
	require.NoError(t, reader.CloseWithError(gone))
	s := newSlack(writer)
	_, err := io.WriteString(s, "first")
	require.NoError(t, err)
	s.finish(t.Context())
	_, err = io.WriteString(s, "second")
	assert.ErrorIs(t, err, gone)
}
