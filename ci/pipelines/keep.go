package pipelines

import (
	"context"
	"encoding/json"
	"fmt"

	"dagger.io/dagger"
)

// Caches are the names of the caches that can be taken out of an engine and brought into another one.
func Caches() []string { return []string{"go-build", "go-modules", "staticcheck"} }

// cacheDirs are where they are mounted.
var cacheDirs = map[string]string{"go-build": buildCache, "go-modules": goPath, "staticcheck": lintCache}

// KeptCache is a cache as one file. The same content has the same digest, wherever and whenever it was made.
type KeptCache struct {
	Digest string `json:"digest"`
	Files  int    `json:"files"`
	Size   int64  `json:"size"`
}

// KeepCache writes what recent runs used of a cache into a file on this machine.
func (s Stages) KeepCache(ctx context.Context, name, file string) (KeptCache, error) {
	argv := []string{inboxPath, "keep"}
	if name == "go-modules" {
		argv = append(argv, "-modules")
	}
	const out = outDir + "/kept.tar"
	var k KeptCache
	after, text, err := s.outsideOfKeys(ctx, s.buildRoot(), append(argv, cacheDirs[name], out))
	if err != nil {
		return k, fmt.Errorf("read the cache %s: %w", name, err)
	}
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return k, fmt.Errorf("read the cache %s: %w", name, err)
	}
	if _, err := after.File(out).Export(ctx, file); err != nil {
		return k, fmt.Errorf("bring the cache %s out of the engine: %w", name, explain(err))
	}
	return k, nil
}

// RestoreCache brings a cache back from a file of this machine.
func (s Stages) RestoreCache(ctx context.Context, name, file string) error {
	const in = requestDir + "/kept.tar"
	root := s.buildRoot().WithMountedFile(in, s.Client.Host().File(file))
	if _, _, err := s.outsideOfKeys(ctx, root, []string{inboxPath, "restore", in, cacheDirs[name]}); err != nil {
		return fmt.Errorf("bring back the cache %s: %w", name, err)
	}
	return nil
}

// outsideOfKeys runs a command whose result the engine must not replay: what is in a cache is part of no key.
func (s Stages) outsideOfKeys(ctx context.Context, root *dagger.Container, argv []string) (*dagger.Container, string, error) {
	after := root.WithEnvVariable("SLIPWAY_RUN", s.RunID).WithExec(argv)
	text, err := after.Stdout(ctx)
	return after, text, explain(err)
}
