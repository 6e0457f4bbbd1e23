package ship

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gofrs/flock"

	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/project"
)

const (
	markerName    = project.OutputMarker
	markerText    = "This directory is made by slipway, which replaces and removes files in it.\n"
	stagingPrefix = ".staging-"
	reportsDir    = "reports"
	imagesDir     = "image"
)

// dist is the output directory. What a run makes is put together in a staging directory beside its place and moved there
// when it is complete, so that no half-written file is ever seen.
type dist struct {
	dir     string
	staging string
	lock    *flock.Flock
}

// openDist makes the output directory, or takes over one that carries our marker. Any other directory that is not empty is
// somebody else's and refused.
func openDist(dir, id string) (*dist, error) {
	if err := checkDist(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, reportsDir), 0o755); err != nil {
		return nil, &UsageError{fmt.Sprintf("make the output directory: %v", err)}
	}
	marker := filepath.Join(dir, markerName)
	if err := os.WriteFile(marker, []byte(markerText), 0o644); err != nil {
		return nil, &UsageError{fmt.Sprintf("mark the output directory: %v", err)}
	}
	lock := flock.New(marker)
	free, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if !free {
		return nil, &UsageError{dir + " is in use by another run of slipway: wait for it, or name another directory with --dist"}
	}
	d := &dist{dir: dir, staging: filepath.Join(dir, stagingPrefix+id), lock: lock}
	if err := d.restage(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// restage begins with an empty staging directory.
func (d *dist) restage() error {
	if err := d.removeStaging(); err != nil {
		return err
	}
	return os.Mkdir(d.staging, 0o755)
}

func checkDist(dir string) error {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return &UsageError{dir + " cannot be made, because it is below a file: name another directory with --dist"}
	}
	if err != nil {
		return &UsageError{fmt.Sprintf("look at the output directory: %v; name another one with --dist", err)}
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return &UsageError{dir + " is a link, and nothing is written through links: remove it, or name the directory itself with --dist"}
	}
	if !info.IsDir() {
		return &UsageError{dir + " is not a directory: name another one with --dist"}
	}
	if hasMarker(dir) {
		return checkReports(dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return &UsageError{fmt.Sprintf("look at the output directory: %v", err)}
	}
	if len(entries) > 0 {
		return &UsageError{fmt.Sprintf("%s was not made by slipway (it has no %s file), so it is left alone: name another directory with --dist, or move it away", dir, markerName)}
	}
	return nil
}

// hasMarker tells whether a directory carries our marker. A link is none: we would write through it.
func hasMarker(dir string) bool {
	info, err := os.Lstat(filepath.Join(dir, markerName))
	return err == nil && info.Mode().IsRegular()
}

// checkReports refuses a link in the place of the reports: a repository must not lead us out of the output directory.
func checkReports(dir string) error {
	info, err := os.Lstat(filepath.Join(dir, reportsDir))
	if err == nil && !info.IsDir() {
		return &UsageError{fmt.Sprintf("%s is not a directory: remove it, or name another output directory with --dist", filepath.Join(dir, reportsDir))}
	}
	return nil
}

// removeStaging removes what earlier runs left when they were killed.
func (d *dist) removeStaging() error {
	for _, dir := range []string{d.dir, filepath.Join(d.dir, reportsDir)} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("look at the output directory: %w", err)
		}
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), stagingPrefix) {
				continue
			}
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				return fmt.Errorf("remove what an earlier run left: %w", err)
			}
		}
	}
	return nil
}

// close gives up the output directory; what was not delivered is gone.
func (d *dist) close() {
	_ = os.RemoveAll(d.staging) // the next run removes it otherwise
	_ = d.lock.Unlock()
}

// deliver moves what is in the staging directory to its place and removes artifacts of earlier runs that were not made
// again. The lists (checksums, artifacts.json, metadata.json) are moved last: while they are there, what they name is.
func (d *dist) deliver() error {
	fresh, err := os.ReadDir(d.staging)
	if err != nil {
		return fmt.Errorf("write to %s: %w", d.dir, err)
	}
	if err := d.removeStale(fresh); err != nil {
		return err
	}
	for _, lists := range []bool{false, true} {
		for _, entry := range fresh {
			if isList(entry.Name()) == lists {
				if err := d.move(entry.Name()); err != nil {
					return fmt.Errorf("write to %s: %w", d.dir, err)
				}
			}
		}
	}
	return nil
}

func (d *dist) removeStale(fresh []fs.DirEntry) error {
	made := map[string]bool{markerName: true, reportsDir: true, filepath.Base(d.staging): true}
	for _, entry := range fresh {
		made[entry.Name()] = !isList(entry.Name())
	}
	old, err := os.ReadDir(d.dir)
	if err != nil {
		return fmt.Errorf("write to %s: %w", d.dir, err)
	}
	for _, entry := range old {
		if made[entry.Name()] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(d.dir, entry.Name())); err != nil {
			return fmt.Errorf("remove %s of an earlier run: %w", entry.Name(), err)
		}
	}
	return nil
}

func isList(name string) bool {
	return name == "checksums.txt" || name == "artifacts.json" || name == "metadata.json"
}

// move puts one entry into its place. A directory replaces the old one as a whole.
func (d *dist) move(name string) error {
	from, to := filepath.Join(d.staging, name), filepath.Join(d.dir, name)
	if info, err := os.Lstat(to); err == nil && info.IsDir() {
		old := from + ".old"
		if err := os.Rename(to, old); err != nil {
			return err
		}
	}
	return os.Rename(from, to)
}

// output is where the stages put what they make.
func (d *dist) output() pipelines.Output { return pipelines.Output{Dir: d.staging, Before: d.dir} }

// writeReport writes a file of the reports directory, complete or not at all.
func (d *dist) writeReport(name string, write func(*os.File) error) error {
	return writeFile(filepath.Join(d.dir, reportsDir, name), write)
}

func writeFile(path string, write func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), stagingPrefix)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
