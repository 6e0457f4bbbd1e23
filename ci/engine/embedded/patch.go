package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// patch is a change to one file of a pinned module. It must fit exactly once: a new version of the module that brings the
// change itself, or moves the place, fails the build instead of losing it.
type patch struct{ file, old, new string }

// enginePatches mend what stands in the way of version 0.19.10. docs/adr/0001-embedded-engine.md tells more.
//
// When the engine starts, it looks at every cache volume for traces of a crash, and that leaves behind how the volume would
// be mounted for one container. Two containers that use the volume at the same time then mount it twice, which the kernel
// refuses ("overlay with incompat feature 'volatile' cannot be mounted"), until the volume is removed.
//
// The image in which modules in Go are built is named by the environment, which must be known when the engine starts. Ours is made
// when somebody first asks for it, so its name is looked up (docs/adr/0024-dagger-module.md).
var enginePatches = []patch{{
	file: "internal/buildkit/cache/refs.go",
	old:  "hasDirtyVolatile(ctx context.Context) (_ bool, rerr error) {\n\tmntable, err := cr.mount(ctx)\n",
	new:  "hasDirtyVolatile(ctx context.Context) (_ bool, rerr error) {\n\tmntable, err := cr.mount(ctx)\n\tcr.mountCache = nil\n",
}, {
	file: "core/sdk/go_sdk.go",
	old:  "dagql.String(" + environment + "(distconsts.GoSDKManifestDigestEnvName))",
	new:  "dagql.String(distconsts.GoSDKManifestDigest(" + environment + "(distconsts.GoSDKManifestDigestEnvName)))",
}}

// environment is what the engine reads variables with. Here it is a text, and no call.
const environment = "os." + "Getenv"

func (p patch) apply(dir string) error {
	path := filepath.Join(dir, filepath.FromSlash(p.file))
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if n := strings.Count(string(source), p.old); n != 1 {
		return fmt.Errorf("the change to %s fits %d times, not once: it was made for another version", p.file, n)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(source), p.old, p.new, 1)), 0o644)
}

// patchModule replaces a module that the module in work requires by a copy with the patches applied. The go command has
// checked the module against go.sum before it is copied.
func (g goCommand) patchModule(ctx context.Context, work, module string, patches []patch) error {
	out, err := g.run(ctx, work, g.env, "mod", "download", "-json", module)
	if err != nil {
		return err
	}
	var found struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return fmt.Errorf("read output of go mod download: %w", err)
	}
	const copied = "patched"
	if err := os.CopyFS(filepath.Join(work, copied), os.DirFS(found.Dir)); err != nil {
		return fmt.Errorf("copy %s: %w", module, err)
	}
	for _, p := range patches {
		if err := p.apply(filepath.Join(work, copied)); err != nil {
			return fmt.Errorf("patch %s: %w", module, err)
		}
	}
	_, err = g.run(ctx, work, g.env, "mod", "edit", "-replace="+module+"=./"+copied)
	return err
}
