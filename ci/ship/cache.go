package ship

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/report"
)

// A directory with caches that were taken out of an engine holds each as a file that is named by its digest, and a list.
const (
	cacheIndex  = "index.json"
	cacheBlobs  = "sha256"
	cacheSchema = 1
)

// cacheList is the list. Equal caches have equal lists.
type cacheList struct {
	Schema int                            `json:"schema"`
	Caches map[string]pipelines.KeptCache `json:"caches"`
}

// ExportCache writes what the runs of the last days used of Go's caches, and of staticcheck's, out of the engine into a
// directory. It returns a digest of all of it: while that stays the same, there is nothing new to keep.
func ExportCache(ctx context.Context, o Options, dir string, observer report.Observer) (run report.Run, digest string, err error) {
	run, err = withCaches(ctx, o, "cache export", observer, func(ctx context.Context, stages pipelines.Stages, stage *report.StageRecorder) error {
		digest, err = exportCaches(ctx, stages, stage, dir)
		return err
	})
	return run, digest, err
}

// ImportCache brings back into the engine what ExportCache has written. A directory that has nothing, or something damaged, costs
// the time that the caches would have saved, and nothing else.
func ImportCache(ctx context.Context, o Options, dir string, observer report.Observer) (report.Run, error) {
	list, err := readCacheList(dir)
	if err != nil {
		rec := report.NewRecorder(report.Run{Verb: "cache import"}, observer, time.Now)
		rec.Note("nothing to bring back: " + err.Error())
		return rec.Finish(ExitOK), nil
	}
	return withCaches(ctx, o, "cache import", observer, func(ctx context.Context, stages pipelines.Stages, stage *report.StageRecorder) error {
		return importCaches(ctx, stages, stage, dir, list)
	})
}

// withCaches does something with an engine and a toolchain, shown as a run.
func withCaches(ctx context.Context, o Options, verb string, observer report.Observer, do func(context.Context, pipelines.Stages, *report.StageRecorder) error) (report.Run, error) {
	opening := report.Run{Verb: verb, Slipway: o.Slipway, Started: time.Now()}
	o, err := o.settled()
	if err != nil {
		opening.ExitCode = ExitCode(ctx, report.Run{}, err)
		return opening, err
	}
	rec := report.NewRecorder(opening, observer, time.Now)
	stage := rec.Stage("cache")
	stages, done, err := hostMaker{options: o, stage: stage}.open(ctx)
	if err == nil {
		err = do(ctx, stages, stage)
		done()
	}
	code := ExitCode(ctx, report.Run{}, err)
	if err != nil && code != ExitInterrupted {
		stage.Fail(report.Failure{Title: err.Error()})
	}
	stage.Done("")
	return rec.Finish(code), err
}

func exportCaches(ctx context.Context, stages pipelines.Stages, stage *report.StageRecorder, dir string) (digest string, err error) {
	blobs := filepath.Join(dir, cacheBlobs)
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return "", fmt.Errorf("make the directory of the caches: %w", err)
	}
	list := cacheList{Schema: cacheSchema, Caches: map[string]pipelines.KeptCache{}}
	for _, name := range pipelines.Caches() {
		step := stage.Step(name)
		part := filepath.Join(blobs, name+".part")
		k, err := stages.KeepCache(ctx, name, part)
		if err == nil {
			err = os.Rename(part, blobFile(dir, k.Digest))
		}
		if err != nil {
			step.Cancel()
			return "", err
		}
		list.Caches[name] = k
		step.Done(report.Result{Summary: fmt.Sprintf("%d files, %s", k.Files, size(k.Size))})
	}
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return "", err
	}
	if err := replaceFile(filepath.Join(dir, cacheIndex), append(text, '\n')); err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:]), removeOthers(blobs, list)
}

func replaceFile(file string, content []byte) error {
	if err := os.WriteFile(file+".part", content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(file), err)
	}
	return os.Rename(file+".part", file)
}

// removeOthers removes what the list names no more.
func removeOthers(blobs string, list cacheList) error {
	keep := map[string]bool{}
	for _, k := range list.Caches {
		keep[strings.TrimPrefix(k.Digest, "sha256:")] = true
	}
	entries, err := os.ReadDir(blobs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !keep[e.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(blobs, e.Name())))
		}
	}
	return err
}

func importCaches(ctx context.Context, stages pipelines.Stages, stage *report.StageRecorder, dir string, list cacheList) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range pipelines.Caches() {
		k, ok := list.Caches[name]
		if !ok {
			continue
		}
		step := stage.Step(name)
		group.Go(func() error {
			err := checkBlob(dir, k)
			if err == nil {
				err = stages.RestoreCache(ctx, name, blobFile(dir, k.Digest))
			}
			switch {
			case ctx.Err() != nil:
				step.Cancel()
				return context.Cause(ctx)
			case err != nil:
				step.Done(report.Result{Status: report.Warned, Summary: "left out: " + err.Error()})
			default:
				step.Done(report.Result{Summary: fmt.Sprintf("%d files, %s", k.Files, size(k.Size))})
			}
			return nil
		})
	}
	return group.Wait()
}

// readCacheList says in its error why there is none.
func readCacheList(dir string) (cacheList, error) {
	var list cacheList
	data, err := os.ReadFile(filepath.Join(dir, cacheIndex))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return list, fmt.Errorf("%s has no caches yet", dir)
	case err != nil:
		return list, err
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return list, fmt.Errorf("%s is damaged: %w", cacheIndex, err)
	}
	if list.Schema != cacheSchema {
		return list, fmt.Errorf("%s is of another version of Slipway", cacheIndex)
	}
	return list, nil
}

func blobFile(dir, digest string) string {
	return filepath.Join(dir, cacheBlobs, strings.TrimPrefix(digest, "sha256:"))
}

// checkBlob reads all of a cache before it is trusted.
func checkBlob(dir string, k pipelines.KeptCache) error {
	digits, _ := strings.CutPrefix(k.Digest, "sha256:")
	want, err := hex.DecodeString(digits)
	if err != nil || len(want) != sha256.Size { // it becomes the name of a file
		return fmt.Errorf("%q is no digest", k.Digest)
	}
	file, err := os.Open(blobFile(dir, k.Digest))
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if !slices.Equal(sum.Sum(nil), want) {
		return errors.New("it is damaged: its content has another digest")
	}
	return nil
}
