package project

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// mostDirs is how many directories a survey names.
const mostDirs = 10

// Survey is what of a tree would be uploaded: how much it is, and where it is.
type Survey struct {
	Files   int      // regular files and links
	Bytes   int64    // of the regular files
	Dirs    []Usage  // the largest directories, at most ten, largest first
	Left    []string // what the excludes leave out; nobody looked into it
	Special []string // pipes, sockets and devices, which cannot be uploaded
	Locked  []string // directories that may not be read
	Sources Stamps   // the files that the go command compiles, tests included
}

// Stamps tell whether files have changed, by their names below a root.
type Stamps map[string]Stamp

// Stamp is what changes when a file does.
type Stamp struct {
	Bytes    int64
	Modified time.Time
}

// Changed names the files that are not the same in later stamps, sorted: changed, new or gone.
func (s Stamps) Changed(later Stamps) []string {
	changed := map[string]bool{}
	for name, stamp := range s {
		if now, there := later[name]; !there || now.Bytes != stamp.Bytes || !now.Modified.Equal(stamp.Modified) {
			changed[name] = true
		}
	}
	for name := range later {
		if _, before := s[name]; !before {
			changed[name] = true
		}
	}
	return slices.Sorted(maps.Keys(changed))
}

// Usage is a directory and what is in it and below it, except for what is in
// another one of the same list. All of them together are no more than the tree.
type Usage struct {
	Dir   string // relative to the root, with slashes; "." is the root itself
	Files int
	Bytes int64
}

// Measure walks a tree as an upload would, and reads directories only: 200,000
// files take about a second. Links are counted and never followed.
//
// An exclude is the path of a file or directory below the root (dist), or,
// after "**/", a name that is left out wherever it is (**/node_modules). Each
// element may be a pattern of path.Match; anything else is an error.
//
// Directories are named as far down as helps: of one that is mostly another
// one, both are in the list, and each has what the other has not.
func Measure(ctx context.Context, root string, without []string) (Survey, error) {
	out, err := ReadExcludes(without)
	if err != nil {
		return Survey{}, err
	}
	m := measurer{root: root, excludes: out, survey: Survey{Sources: Stamps{}}}
	top, err := m.walk(ctx, ".")
	if err != nil {
		return Survey{}, err
	}
	m.survey.Files, m.survey.Bytes, m.survey.Dirs = top.files, top.bytes, largest(top)
	for _, list := range []*[]string{&m.survey.Left, &m.survey.Special, &m.survey.Locked} {
		slices.Sort(*list)
	}
	return m.survey, nil
}

// Excludes say what of a tree is left out, sorted by how they are compared:
// there are many files, and most excludes are plain names.
type Excludes struct {
	names    map[string]bool // anywhere
	paths    map[string]bool
	patterns []string
}

// ReadExcludes reads patterns as [Measure] takes them.
func ReadExcludes(written []string) (Excludes, error) {
	e := Excludes{names: map[string]bool{}, paths: map[string]bool{}}
	for _, exclude := range written {
		plain, anywhere := strings.CutPrefix(exclude, "**/")
		if _, err := path.Match(plain, ""); err != nil || !fs.ValidPath(plain) || strings.HasPrefix(plain, "!") || strings.Contains(plain, "**") {
			return Excludes{}, fmt.Errorf("measure the sources: %q is no exclude that is known here", exclude)
		}
		switch special := strings.ContainsAny(plain, `*?[\`); {
		case special || anywhere && strings.Contains(plain, "/"):
			e.patterns = append(e.patterns, exclude)
		case anywhere:
			e.names[plain] = true
		default:
			e.paths[plain] = true
		}
	}
	return e, nil
}

// Leave says whether an exclude names a file or directory itself, relative to
// the root; what is below one is never met.
func (e Excludes) Leave(name string) bool {
	return e.names[path.Base(name)] || e.paths[name] || slices.ContainsFunc(e.patterns, func(pattern string) bool {
		if anywhere, ok := strings.CutPrefix(pattern, "**/"); ok {
			pattern, name = anywhere, lastElements(name, 1+strings.Count(anywhere, "/"))
		}
		matched, _ := path.Match(pattern, name)
		return matched
	})
}

type measurer struct {
	root     string
	excludes Excludes
	survey   Survey
}

// measured is a directory with the sums of all that is below it.
type measured struct {
	dir   string
	files int
	bytes int64
	below []measured
}

func (m *measurer) walk(ctx context.Context, dir string) (measured, error) {
	sum := measured{dir: dir}
	if ctx.Err() != nil {
		return sum, context.Cause(ctx)
	}
	entries, err := readUnsorted(filepath.Join(m.root, filepath.FromSlash(dir)))
	switch {
	case err != nil && dir == ".":
		return sum, unreadable("directory", m.root, err)
	case errors.Is(err, fs.ErrNotExist):
		return sum, nil // it went away meanwhile
	case err != nil:
		m.survey.Locked = append(m.survey.Locked, dir)
		return sum, nil
	}
	for _, entry := range entries {
		name := entry.Name()
		if dir != "." {
			name = dir + "/" + name
		}
		switch {
		case m.excludes.Leave(name):
			m.survey.Left = append(m.survey.Left, name)
		case entry.IsDir():
			below, err := m.walk(ctx, name)
			if err != nil {
				return sum, err
			}
			sum.files, sum.bytes, sum.below = sum.files+below.files, sum.bytes+below.bytes, append(sum.below, below)
		default:
			m.count(&sum, name, entry)
		}
	}
	return sum, nil
}

func (m *measurer) count(sum *measured, name string, entry fs.DirEntry) {
	switch {
	case entry.Type()&fs.ModeSymlink != 0:
		sum.files++
	case !entry.Type().IsRegular():
		m.survey.Special = append(m.survey.Special, name)
	default:
		if info, err := entry.Info(); err == nil { // else it went away meanwhile
			sum.files, sum.bytes = sum.files+1, sum.bytes+info.Size()
			if isSource(path.Base(name)) {
				m.survey.Sources[name] = Stamp{info.Size(), info.ModTime()}
			}
		}
	}
}

// lastElements are the last n elements of a path.
func lastElements(name string, n int) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] != '/' {
			continue
		}
		if n--; n == 0 {
			return name[i+1:]
		}
	}
	return name
}

// readUnsorted saves what sorting costs: everything is summed up anyway.
func readUnsorted(dir string) ([]fs.DirEntry, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

// largest names the directories that matter.
func largest(top measured) []Usage {
	rest := Usage{Dir: top.dir, Files: top.files, Bytes: top.bytes}
	var list []Usage
	for _, below := range top.below {
		rest.Files, rest.Bytes = rest.Files-below.files, rest.Bytes-below.bytes
		list = append(list, spread(below)...)
	}
	list = slices.DeleteFunc(append(list, rest), func(u Usage) bool { return u.Files == 0 })
	slices.SortFunc(list, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(b.Files, a.Files), cmp.Compare(a.Dir, b.Dir))
	})
	return list[:min(len(list), mostDirs)]
}

// spread names a directory, and the one below it that it mostly is.
func spread(m measured) []Usage {
	rest := Usage{Dir: m.dir, Files: m.files, Bytes: m.bytes}
	for _, below := range m.below {
		if below.bytes*2 > m.bytes {
			rest.Files, rest.Bytes = rest.Files-below.files, rest.Bytes-below.bytes
			return append(spread(below), rest)
		}
	}
	return []Usage{rest}
}
