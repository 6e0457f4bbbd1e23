package ship

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/report"
)

// An engine of ours that died is started again, once; one that somebody stopped, or that is somebody else's, is not.
func TestAnEngineThatDied(t *testing.T) {
	killed := &engine.LostError{Cause: &embedded.LostError{Cause: "it was killed (signal 9, killed)", Log: "/cache/engine.log"}}
	cases := map[string]struct {
		died    EngineDiedError
		curable bool
		title   string
		cause   string
		next    string
	}{
		"killed":    {EngineDiedError{Cause: killed, Kind: engine.Embedded}, true, "the engine died in the middle of the run, twice", "it was killed (signal 9, killed)", "/cache/engine.log"},
		"silent":    {EngineDiedError{Cause: &embedded.LostError{Cause: "no answer", Silent: true}, Kind: engine.Embedded}, true, "the engine answers no more, twice", "no answer", "run the same command again"},
		"stopped":   {EngineDiedError{Cause: &embedded.LostError{Cause: "it was asked to", Asked: true}, Kind: engine.Embedded}, false, "the engine was stopped in the middle of the run", "it was asked to", "run the same command again"},
		"elsewhere": {EngineDiedError{Cause: errors.New("EOF"), Kind: engine.Address}, false, "the engine is gone", "its connection broke", "run the same command again"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.curable, c.died.curable())
			card := c.died.card()
			assert.Equal(t, c.title, card.Title)
			assert.Equal(t, c.cause, card.Cause)
			assert.Contains(t, card.Next, c.next)
			assert.Contains(t, c.died.warning(), "starting it again, once")
		})
	}
}

// Somebody says that a disk is full, and the place with the least space is named.
func TestTheFullestDisk(t *testing.T) {
	free := func(sizes map[string]int64) func(string) (int64, error) {
		return func(path string) (int64, error) {
			if sizes[path] < 0 {
				return 0, errors.New("unknown")
			}
			return sizes[path], nil
		}
	}
	places := map[string]bool{"/cache": true, "/project": false}
	assert.Nil(t, fullest(places, free(map[string]int64{"/cache": 9 << 30, "/project": 3 << 30})), "there is enough everywhere")
	assert.Nil(t, fullest(places, free(map[string]int64{"/cache": -1, "/project": -1})))
	assert.Equal(t, &DiskFullError{Path: "/cache", Need: roomToWork, Have: 5, Ours: true}, fullest(places, free(map[string]int64{"/cache": 5, "/project": 6})))
	assert.Equal(t, &DiskFullError{Path: "/project", Need: roomToWork, Have: 4}, fullest(places, free(map[string]int64{"/cache": 5, "/project": 4})))
	assert.Equal(t, &DiskFullError{Path: "/cache", Need: roomToWork, Have: 4, Ours: true}, fullest(places, free(map[string]int64{"/cache": 4, "/project": 4})), "one disk: emptying the cache helps")
}

func TestWhoSaysThatADiskIsFull(t *testing.T) {
	assert.Empty(t, fullSaid(errors.New("unexpected EOF"), nil))
	assert.Empty(t, fullSaid(nil, []report.Failure{{Title: "1 test failed", Tail: []string{"not good"}}}))
	for _, text := range []string{"write /tmp/x: no space left on device", "copy: disk quota exceeded", "upsert: database or disk is full (13)"} {
		assert.Equal(t, text, fullSaid(fmt.Errorf("export\n%s\nmore", text), nil))
		assert.Equal(t, text, fullSaid(nil, []report.Failure{{Tail: []string{"first", text}}}))
		assert.Equal(t, text, fullSaid(nil, []report.Failure{{Findings: []report.Finding{{Message: text}}}}))
	}
}

func TestTheCardOfAFullDisk(t *testing.T) {
	full := &DiskFullError{Path: "/cache", Need: roomToWork, Have: 12 << 20, Ours: true, Said: "no space left on device"}
	assert.Equal(t, "disk full: need 2048 MB or more, have 12 MB at /cache", full.card().Title)
	assert.Contains(t, full.card().Cause, "emptied already")
	assert.Contains(t, full.card().Next, "SLIPWAY_CACHE")
	assert.Contains(t, full.warning(), "emptying the engine's cache")
	assert.True(t, full.curable())
	theirs := &DiskFullError{Path: "/project"}
	assert.False(t, theirs.curable(), "what is there is not ours to remove")
	assert.NotContains(t, theirs.card().Cause, "emptied")
}

func TestAMachinesFaultIsACardOfItsOwn(t *testing.T) {
	r := &run{report: report.NewRecorder(report.Run{}, nil, time.Now)}
	r.tell(ExitFailed, &DiskFullError{Path: "/cache", Said: "no space left on device"})
	failures := r.report.Finish(ExitFailed).Failures
	require.Len(t, failures, 1)
	assert.Equal(t, "engine", failures[0].Stage)
	assert.Contains(t, failures[0].Title, "disk full")
}
