package pipelines

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"dagger.io/dagger"
	"golang.org/x/sync/errgroup"
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

// export writes products to an output.
func (s Stages) export(ctx context.Context, out Output, products []Product) error {
	missing, err := out.reuse(products)
	if err != nil || len(missing) == 0 {
		return err
	}
	tree := s.Client.Directory()
	for _, p := range missing {
		tree = tree.WithFile(p.Path, p.file, dagger.DirectoryWithFileOpts{Permissions: int(p.Mode)})
	}
	_, err = tree.Export(ctx, out.Dir)
	return explain(err)
}

// reuse links what is there already and returns what is not.
func (o Output) reuse(products []Product) ([]Product, error) {
	same := make([]bool, len(products))
	var group errgroup.Group
	for i, p := range products {
		group.Go(func() error {
			same[i] = o.link(p) == nil // whatever the reason: it is sent then
			return nil
		})
	}
	err := group.Wait()
	var missing []Product
	for i, p := range products {
		if !same[i] {
			missing = append(missing, p)
		}
	}
	return missing, err
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
	if digest, err := digestOf(from); err != nil || digest != p.SHA256 {
		return fs.ErrNotExist
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.Link(from, to)
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
