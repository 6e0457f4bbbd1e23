package pipelines

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"

	"dagger.io/dagger"

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

// export writes a product to an output, as a file of its own: a directory of several would be another copy in the engine.
func (p Product) export(ctx context.Context, out Output) error {
	to := filepath.Join(out.Dir, filepath.FromSlash(p.Path))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if out.link(p) == nil { // whatever the reason why not: it is sent then
		return nil
	}
	if _, err := p.file.Export(ctx, to); err != nil {
		return explain(err)
	}
	return os.Chmod(to, p.Mode)
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
	return os.Link(from, to)
}
