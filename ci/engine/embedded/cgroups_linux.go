package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is a mounted cgroup tree: the unified one, or one of version 1 with its controllers.
type hierarchy struct {
	Mount   string
	Options string // of version 1: "cpu,cpuacct" or "name=systemd"; "" is version 2
}

// cgroups is a group of our own in every hierarchy; the engine's containers have theirs below it.
type cgroups struct {
	name        string
	hierarchies []hierarchy
}

// groupName begins the names of an instance's groups. Device and inode are in it: the same path may be another directory in
// another mount namespace, with an engine of its own.
func groupName(dir string) (string, error) {
	var stat unix.Stat_t
	if err := unix.Stat(dir, &stat); err != nil {
		return "", fmt.Errorf("look at %s: %w", dir, err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%d:%s", stat.Dev, stat.Ino, dir))
	return "slipway-" + hex.EncodeToString(sum[:4]), nil
}

// newCgroups also removes what killed supervisors left: the caller holds the instance's locks, so those are empty.
func newCgroups(group, id string) (cgroups, error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return cgroups{}, fmt.Errorf("read mounts: %w", err)
	}
	c := cgroups{name: group + "-" + id, hierarchies: parseHierarchies(string(content))}
	if len(c.hierarchies) == 0 {
		return c, errors.New("no cgroup file system is mounted: mount one with: mount -t cgroup2 none /sys/fs/cgroup")
	}
	for _, h := range c.hierarchies {
		left, _ := filepath.Glob(filepath.Join(h.Mount, group+"-*"))
		for _, dir := range left {
			_ = removeGroup(dir)
		}
		if err := makeGroup(h, c.name); err != nil {
			c.remove()
			return c, fmt.Errorf("create cgroup in %s: %w (in a container it must be writable: start the container privileged)", h.Mount, err)
		}
	}
	return c, nil
}

// parseHierarchies reads /proc/self/mountinfo. A tree that is mounted twice counts once.
func parseHierarchies(mountinfo string) []hierarchy {
	var found []hierarchy
	for line := range strings.SplitSeq(mountinfo, "\n") {
		left, right, ok := strings.Cut(line, " - ")
		fields, tail := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(tail) < 3 || (tail[0] != "cgroup" && tail[0] != "cgroup2") {
			continue
		}
		h := hierarchy{Mount: unescapeMount(fields[4])}
		if tail[0] == "cgroup" {
			h.Options = controllers(tail[2])
		}
		if !slices.ContainsFunc(found, func(o hierarchy) bool { return o.Options == h.Options }) {
			found = append(found, h)
		}
	}
	return found
}

// controllers drops the options that are not part of a hierarchy's identity.
func controllers(options string) string {
	kept := slices.DeleteFunc(strings.Split(options, ","), func(o string) bool {
		return slices.Contains([]string{"rw", "ro", "xattr", "clone_children", "noprefix", "nsdelegate", "cpuset_v2_mode"}, o) || strings.HasPrefix(o, "release_agent=")
	})
	return strings.Join(kept, ",")
}

func unescapeMount(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}

func makeGroup(h hierarchy, name string) error {
	dir := filepath.Join(h.Mount, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if !slices.Contains(strings.Split(h.Options, ","), "cpuset") {
		return nil
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} { // empty ones take no process
		value, err := os.ReadFile(filepath.Join(h.Mount, file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// add moves a process in.
func (c cgroups) add(pid int) error {
	for _, h := range c.hierarchies {
		if err := os.WriteFile(filepath.Join(h.Mount, c.name, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
			return fmt.Errorf("move into cgroup: %w", err)
		}
	}
	return nil
}

// remove takes away the group and all below it, deepest first. It is called when all processes have ended; the kernel may
// need a moment to see it so.
func (c cgroups) remove() {
	deadline := time.Now().Add(2 * time.Second)
	for _, h := range c.hierarchies {
		for removeGroup(filepath.Join(h.Mount, c.name)) != nil && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// oomKills is how many processes of the engine's own group, not of its containers', the kernel has ended for lack of memory.
func (c cgroups) oomKills() (kills int64) {
	for _, h := range c.hierarchies {
		dir := filepath.Join(h.Mount, c.name)
		for _, name := range []string{"memory.oom_control", filepath.Join("init", "memory.events.local")} {
			content, _ := os.ReadFile(filepath.Join(dir, name)) // most hierarchies have none
			kills += oomKillsIn(string(content))
		}
	}
	return kills
}

// oomKillsIn reads the kernel's "name value" lines.
func oomKillsIn(text string) int64 {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			n, _ := strconv.ParseInt(value, 10, 64)
			return n
		}
	}
	return 0
}

func removeGroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	slices.Reverse(dirs)
	for _, d := range dirs {
		if err := unix.Rmdir(d); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return err
}
