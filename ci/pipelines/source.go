package pipelines

import (
	"context"
	"fmt"
	"path/filepath"

	"dagger.io/dagger"
)

// neverSource never reaches the engine: no build and no test of a Go project reads it.
var neverSource = []string{".git", "**/.git", "**/node_modules", ".DS_Store"}

// Excluded names, as patterns, what of the project's directory never reaches the engine. The output directory is left out
// where it lies inside, and so are outputs, relative to root, that earlier runs have left; any other directory called dist is
// the project's own.
func Excluded(root, dist string, outputs ...string) []string {
	patterns := append(append([]string{}, neverSource...), Literals(outputs)...)
	rel, err := filepath.Rel(root, dist)
	if err != nil || !filepath.IsLocal(rel) || rel == "." {
		return patterns
	}
	return append(patterns, literal(filepath.ToSlash(rel)))
}

// Upload sends the project to the engine. What it has of an earlier run is not sent again.
func (s Stages) Upload(ctx context.Context) (Sent, error) {
	return s.sending(func() error {
		_, err := s.made.source().Sync(ctx)
		return explain(err)
	})
}

// Sent is how much went to the engine while something was sent.
type Sent struct {
	Bytes int64
	Known bool
}

func (s Sent) String() string {
	if !s.Known {
		return "the engine has it"
	}
	return fmt.Sprintf("%.1f MB sent to the engine", float64(s.Bytes)/1e6)
}

// sending sends something and counts what the session writes meanwhile.
func (s Stages) sending(send func() error) (Sent, error) {
	if s.Sent == nil {
		return Sent{}, send()
	}
	before, _ := s.Sent()
	err := send()
	after, known := s.Sent()
	return Sent{Bytes: after - before, Known: known}, err
}

// Workshop is a container in which the project can be worked on: the toolchain, the caches of the go command, the machine's
// proxies, an unprivileged user, and dir mounted as the working directory. What a command changes there is in its
// Directory("."):
//
//	generated := stages.Workshop(source).WithExec([]string{"go", "generate", "./..."}).Directory(".")
//
// With a test root it is a small Debian with a shell and git, else there is nothing but Go.
func (s Stages) Workshop(dir *dagger.Directory) *dagger.Container {
	return s.made.tests().
		WithMountedDirectory(sourceDir, dir, dagger.ContainerWithMountedDirectoryOpts{Owner: owner}).
		WithWorkdir(sourceDir)
}

// tree is the project as every stage sees it: as it lies on the machine, or as [Config.Change] made it.
func (s Stages) tree() *dagger.Directory {
	source := s.Client.Host().Directory(s.Project.Root, dagger.HostDirectoryOpts{Exclude: s.Exclude})
	if s.Change == nil {
		return source
	}
	return s.Change(s, source)
}

// part is what a step reads of the tree, named by patterns. It is taken from the machine where that is the tree: the engine
// knows such a directory by its content, so that a change elsewhere changes nothing here.
func (s Stages) part(patterns []string) *dagger.Directory {
	if s.Change != nil {
		return s.made.source().Filter(dagger.DirectoryFilterOpts{Include: patterns})
	}
	return s.Client.Host().Directory(s.Project.Root, dagger.HostDirectoryOpts{Include: patterns, Exclude: s.Exclude})
}

// Literals are patterns that match these names and no others.
func Literals(names []string) []string {
	patterns := make([]string, len(names))
	for i, name := range names {
		patterns[i] = literal(name)
	}
	return patterns
}
