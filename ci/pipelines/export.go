package pipelines

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"dagger.io/dagger"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
)

// Product is a file that a stage made in the engine and that belongs into the output directory.
type Product struct {
	Path   string // below the output directory, with slashes
	Mode   fs.FileMode
	SHA256 string // of its content, as the command that made it counted it
	file   *dagger.File
}

// Output is where products go. What Before, the output of an earlier run, holds with the very same content is linked from
// there instead of being sent again.
type Output struct{ Dir, Before string }

// export writes products to an output, all at once. Each comes as a file of its own: one directory of them all would be
// another copy in the engine, and took three times as long.
func (s Stages) export(ctx context.Context, out Output, products []Product) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range out.reuse(products) {
		group.Go(func() error { return p.export(ctx, out.Dir) })
	}
	return group.Wait()
}

func (p Product) export(ctx context.Context, dir string) error {
	to := filepath.Join(dir, filepath.FromSlash(p.Path))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if _, err := p.file.Export(ctx, to); err != nil {
		return explain(err)
	}
	return os.Chmod(to, p.Mode)
}

// reuse links what is there already and returns what is not.
func (o Output) reuse(products []Product) []Product {
	same := make([]bool, len(products))
	var all sync.WaitGroup
	for i, p := range products {
		all.Go(func() { same[i] = o.link(p) == nil }) // whatever the reason: it is sent then
	}
	all.Wait()
	var missing []Product
	for i, p := range products {
		if !same[i] {
			missing = append(missing, p)
		}
	}
	return missing
}

// link puts a product of the earlier output into this one. It fails where content or mode differ.
func (o Output) link(p Product) error {
	from, to := filepath.Join(o.Before, filepath.FromSlash(p.Path)), filepath.Join(o.Dir, filepath.FromSlash(p.Path))
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if info.Mode() != p.Mode || o.Before == "" || p.SHA256 == "" {
		return fs.ErrNotExist
	}
	if digest, _, err := artifact.Digest(from); err != nil || digest != p.SHA256 {
		return fs.ErrNotExist
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.Link(from, to)
}
