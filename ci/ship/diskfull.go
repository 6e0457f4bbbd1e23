package ship

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/ci/report"
)

// roomToWork is how much free space a run should have. Where there is more, a disk is not what was full.
const roomToWork = 2 << 30

// DiskFullError says that a disk was full, and which.
type DiskFullError struct {
	Path string
	Need int64 // at least
	Have int64
	Ours bool   // it is the disk of the embedded engine, whose cache may be emptied
	Done bool   // whatever can be emptied has been
	Said string // by whoever met it first

	cause error
}

func (e *DiskFullError) Error() string {
	return fmt.Sprintf("disk full: need %s or more, have %s at %s", megabytes(e.Need), megabytes(e.Have), e.Path)
}

func (e *DiskFullError) Unwrap() error { return e.cause }

func (e *DiskFullError) curable() bool { return e.Ours && !e.Done }

func (e *DiskFullError) warning() string {
	return e.Error() + "; emptying the engine's cache and trying once more"
}

func (e *DiskFullError) card() report.Failure {
	f := report.Failure{Title: e.Error(), Cause: e.Said, Next: "free some space at " + e.Path + ", then run the same command again"}
	if e.Ours {
		f.Cause = strings.TrimSpace(f.Cause + "\nthe engine's cache was emptied already, and that was not enough")
		f.Next += "\nor keep the cache on another disk: export SLIPWAY_CACHE=/a/larger/disk/slipway"
	}
	return f
}

// prune empties the engine's cache.
func (e *DiskFullError) prune(ctx context.Context, own embedded.Options) error {
	freed, err := embedded.MakeRoom(ctx, own)
	if err != nil {
		return fmt.Errorf("empty the engine's cache: %w", err)
	}
	own.Progress("freed " + megabytes(freed))
	return nil
}

// diskFull finds out whether an attempt failed because a disk was full: somebody must have said so, and there must be one
// that is (almost) full.
func (r *run) diskFull(err error) *DiskFullError {
	own := EmbeddedOptions(r.options.Cache, r.options.Getenv, func(string) {})
	var starting *embedded.DiskFullError
	if errors.As(err, &starting) {
		return &DiskFullError{Path: starting.Path, Need: starting.Need, Have: starting.Have, Ours: true, Done: true, Said: starting.What + " failed", cause: err}
	}
	said := fullSaid(err, r.report.Snapshot().Failures)
	var died *EngineDiedError
	if said == "" && !errors.As(err, &died) {
		return nil
	}
	place := fullest(map[string]bool{embedded.StateDir(own): true, r.options.Dist: false}, embedded.FreeSpace)
	if place == nil || (said == "" && place.Have > roomToWork/100) {
		return nil
	}
	place.Said, place.cause = said, err
	place.Ours = place.Ours && r.ownEngine(err)
	return place
}

// ownEngine tells whether the run worked on the embedded engine, or would have if that had let it.
func (r *run) ownEngine(err error) bool {
	if r.session != nil {
		return r.session.Choice.Kind == engine.Embedded
	}
	var none *engine.UnavailableError
	return errors.As(err, &none) && slices.ContainsFunc(none.Attempts, func(a engine.Attempt) bool { return a.Kind == engine.Embedded })
}

// fullest is the place with the least free space, if that is little. places says of each whether it is the engine's.
func fullest(places map[string]bool, free func(string) (int64, error)) *DiskFullError {
	var least *DiskFullError
	for path, ours := range places {
		have, err := free(path)
		if err != nil || have > roomToWork {
			continue
		}
		if least == nil || have < least.Have || (have == least.Have && ours) {
			least = &DiskFullError{Path: path, Need: roomToWork, Have: have, Ours: ours}
		}
	}
	return least
}

// fullSaid finds the line in which somebody said that a disk is full.
func fullSaid(err error, failures []report.Failure) string {
	var texts []string
	if err != nil {
		texts = append(texts, err.Error())
	}
	for _, f := range failures {
		texts = append(texts, f.Title, f.Cause)
		texts = append(texts, f.Tail...)
		for _, finding := range f.Findings {
			texts = append(texts, finding.Message)
		}
	}
	for _, text := range texts {
		for line := range strings.Lines(text) {
			if saysFull(line) {
				return strings.TrimSpace(line)
			}
		}
	}
	return ""
}

// saysFull knows the words of the kernel, of quotas and of SQLite.
func saysFull(line string) bool {
	for _, words := range []string{"no space left on device", "disk quota exceeded", "database or disk is full"} {
		if strings.Contains(strings.ToLower(line), words) {
			return true
		}
	}
	return false
}

func megabytes(bytes int64) string { return fmt.Sprintf("%d MB", bytes>>20) }
