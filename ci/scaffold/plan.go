package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// State says what becomes of a file.
type State string

// A file is new, or has lines added to it, or is as it should be, or differs: then it is kept, or replaced where that was asked for.
const (
	New      State = "new"
	Added    State = "added"
	Same     State = "same"
	Kept     State = "kept"
	Replaced State = "replaced"
)

// Change is what becomes of one file.
type Change struct {
	Path  string   `json:"path"`
	State State    `json:"state"`
	Lines []string `json:"lines,omitempty"` // that are added
	Diff  string   `json:"diff,omitempty"`  // from what is there to what would be, unified
	text  string
}

// Plan compares files with what is there. Files that differ are kept unless force is set. What is no regular file is refused: to
// follow a link could write anywhere.
func Plan(there fs.FS, files []File, force bool) ([]Change, error) {
	changes := make([]Change, len(files))
	for i, file := range files {
		old, exists, err := read(there, file.Path)
		if err != nil {
			return nil, err
		}
		changes[i] = decide(file, old, exists, force)
	}
	return changes, nil
}

func decide(file File, old string, exists, force bool) Change {
	c := Change{Path: file.Path, text: file.Text}
	if len(file.Lines) > 0 {
		c.text, c.Lines = withLines(old, file.Lines)
	}
	switch {
	case exists && c.text == old:
		c.State = Same
	case len(file.Lines) > 0:
		c.State = Added
	case !exists:
		c.State = New
	case force:
		c.State = Replaced
	default:
		c.State = Kept
	}
	if exists && c.State != Same {
		c.Diff = string(diff.Diff(file.Path, []byte(old), file.Path+" as slipway init writes it", []byte(c.text)))
	}
	return c
}

// withLines adds lines to a text. A line of .gitignore with or without slashes around it means the same here.
func withLines(text string, lines []string) (after string, added []string) {
	var there []string
	for line := range strings.Lines(text) {
		there = append(there, strings.Trim(strings.TrimSpace(line), "/"))
	}
	for _, line := range lines {
		if slices.Contains(there, strings.Trim(line, "/")) {
			continue
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		text, added = text+line+"\n", append(added, line)
	}
	return text, added
}

func read(there fs.FS, name string) (text string, exists bool, err error) {
	info, err := fs.Lstat(there, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("look at %s: %w", name, err)
	case !info.Mode().IsRegular():
		return "", false, fmt.Errorf("%s is no regular file: move it away, or write it by hand", name)
	}
	data, err := fs.ReadFile(there, name)
	if err != nil {
		return "", false, fmt.Errorf("read %s: %w", name, err)
	}
	return string(data), true, nil
}

// Write carries out a plan. Each file appears whole or not at all.
func Write(dir string, changes []Change) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer root.Close()
	for _, c := range changes {
		if c.State == Same || c.State == Kept {
			continue
		}
		if err := write(root, c); err != nil {
			return fmt.Errorf("write %s: %w", c.Path, err)
		}
	}
	return nil
}

func write(root *os.Root, c Change) error {
	if err := root.MkdirAll(path.Dir(c.Path), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if info, err := root.Stat(c.Path); err == nil {
		mode = info.Mode().Perm()
	}
	part := c.Path + ".slipway-init"
	err := root.WriteFile(part, []byte(c.text), mode)
	if err == nil {
		err = root.Rename(part, c.Path)
	}
	if err != nil {
		err = errors.Join(err, root.Remove(part))
	}
	return err
}
