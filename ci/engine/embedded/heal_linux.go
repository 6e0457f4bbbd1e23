package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// bootFile holds the boot in which the engine last ran.
const bootFile = "boot"

// heal prepares the state of an engine that was killed. The kernel marks what an overlay mount may not have written to the
// disk ("incompat"), and the engine drops every cache volume that carries the mark. After a kill that is not needed: the
// kernel has everything still. After a crash of the machine it is, so the marks stay when the boot is another one.
func heal(l layout) error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return fmt.Errorf("read the boot's id: %w", err)
	}
	path := filepath.Join(l.dir(), bootFile)
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the last boot's id: %w", err)
	}
	if strings.TrimSpace(string(before)) == strings.TrimSpace(string(boot)) {
		if err := unmark(filepath.Join(l.stateDir(), stateRoot)); err != nil {
			return fmt.Errorf("mend the engine's cache: %w", err)
		}
	}
	return os.WriteFile(path, boot, 0o600)
}

// unmark removes the kernel's marks below the engine's directory.
func unmark(root string) error {
	marks, err := filepath.Glob(filepath.Join(root, "worker", "snapshots", "snapshots", "*", "work", "work", "incompat"))
	if err != nil {
		return err
	}
	for _, mark := range marks {
		if err := os.RemoveAll(mark); err != nil {
			return err
		}
	}
	return nil
}
