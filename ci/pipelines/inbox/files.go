package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// fileSet collects the files below one root that exist.
type fileSet struct {
	root  string
	mu    sync.Mutex
	names map[string]bool
}

func newFileSet(root string) *fileSet {
	return &fileSet{root: filepath.Clean(root), names: map[string]bool{}}
}

func (s *fileSet) addAll(files []string) {
	for _, file := range files {
		s.add(file)
	}
}

// add notes a file, and what it leads to if it is a link: a copy of the source
// that has only the link could not be built.
func (s *fileSet) add(file string) {
	info, err := os.Lstat(file)
	if err != nil || info.IsDir() {
		return
	}
	s.note(file)
	if info.Mode()&os.ModeSymlink == 0 {
		return
	}
	if target, err := filepath.EvalSymlinks(file); err == nil {
		s.note(target)
	}
}

func (s *fileSet) note(file string) {
	name, ok := s.relative(file)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name] = true
}

// relative is the file's name from the root on, with slashes.
func (s *fileSet) relative(file string) (string, bool) {
	name, err := filepath.Rel(s.root, file)
	if err != nil || name == ".." || strings.HasPrefix(name, ".."+string(filepath.Separator)) {
		return "", false
	}
	return filepath.ToSlash(name), true
}

func (s *fileSet) sorted() []string {
	return orEmpty(slices.Sorted(maps.Keys(s.names)))
}
