package embedded

import "fmt"

const (
	// leastSpace is what an engine needs to start and to do anything.
	leastSpace = 1 << 30
	// layersSpace is what the built layers take, with what is unpacked while they are built.
	layersSpace = 2 << 30
	// compileSpace is what Go's module and build caches take for the engine's first build.
	compileSpace = 3 << 30
	// firstBuildSpace is all of it, on one disk.
	firstBuildSpace = leastSpace + layersSpace + compileSpace
)

// DiskFullError says that there is too little space for what comes next.
type DiskFullError struct {
	What string // "starting the engine"
	Path string
	Need int64
	Have int64
}

func (e *DiskFullError) Error() string {
	return fmt.Sprintf("disk full: %s needs %d MB, have %d MB at %s: free some space there, or keep the cache on another disk: export SLIPWAY_CACHE=/a/larger/disk/slipway",
		e.What, e.Need>>20, e.Have>>20, e.Path)
}

// wish is space that something will take in a directory.
type wish struct {
	dir  string
	size int64
}

// disk is the file system that a directory is on.
type disk struct {
	id   uint64
	free int64
}

// shortOf adds up the wishes for each disk and returns an error for the first that has too little.
func shortOf(what string, wishes []wish, look func(dir string) (disk, error)) error {
	total := map[uint64]int64{}
	for _, w := range wishes {
		d, err := look(w.dir)
		if err != nil {
			return err
		}
		total[d.id] += w.size
		if d.free < total[d.id] {
			return &DiskFullError{What: what, Path: w.dir, Need: sum(wishes, d.id, look), Have: d.free}
		}
	}
	return nil
}

// sum is all that is wished for on one disk.
func sum(wishes []wish, id uint64, look func(dir string) (disk, error)) (total int64) {
	for _, w := range wishes {
		if d, err := look(w.dir); err == nil && d.id == id {
			total += w.size
		}
	}
	return total
}
