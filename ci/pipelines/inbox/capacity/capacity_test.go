package capacity

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
)

func TestMemory(t *testing.T) {
	const machine = "MemTotal:       8388608 kB\nMemFree: 1 kB\n" // 8 GiB
	for name, c := range map[string]struct {
		files map[string]string
		want  int
		limit string
	}{
		"nothing is known":          {map[string]string{}, 0, "the machine"},
		"no group":                  {map[string]string{"proc/meminfo": machine}, 8192, "the machine"},
		"version 2, in a container": {map[string]string{"proc/meminfo": machine, "sys/fs/cgroup/memory.max": "1073741824\n"}, 1024, "a control group"},
		"version 2, no limit":       {map[string]string{"proc/meminfo": machine, "sys/fs/cgroup/memory.max": "max\n"}, 8192, "the machine"},
		"version 2, on the machine": {map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "0::/user.slice/run.scope\n", "sys/fs/cgroup/user.slice/run.scope/memory.max": "2147483648\n",
		}, 2048, "a control group"},
		"a group around ours has the limit": {map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "0::/ci.slice/job\n",
			"sys/fs/cgroup/ci.slice/job/memory.max": "max\n", "sys/fs/cgroup/ci.slice/memory.max": "536870912\n",
		}, 512, "a control group"},
		"version 1": {map[string]string{
			"proc/meminfo": machine, "proc/self/cgroup": "5:cpu,memory:/docker/abc\n0::/\n", "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "4294967296\n",
		}, 4096, "a control group"},
		"version 1, no limit": {map[string]string{"proc/meminfo": machine, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 8192, "the machine"},
		"nonsense":            {map[string]string{"proc/meminfo": "MemTotal: lots kB\n", "proc/self/cgroup": "x\n", "sys/fs/cgroup/memory.max": "?\n"}, 0, "the machine"},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for file, text := range c.files {
				root[file] = &fstest.MapFile{Data: []byte(text)}
			}
			got := Read(root)
			assert.Equal(t, c.want, got.MemoryMiB)
			assert.Equal(t, c.limit, got.Limit)
			assert.Positive(t, got.Cores)
		})
	}
}

func TestMemoryLimit(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	machine := file("MemTotal:       2097152 kB\nMemFree:  5 kB\n")
	cases := map[string]struct {
		root fstest.MapFS
		want int64
	}{
		"nothing is known": {fstest.MapFS{}, 0},
		"the machine":      {fstest.MapFS{"proc/meminfo": machine, "sys/fs/cgroup/memory.max": file("max\n")}, 2 << 30},
		"version 2":        {fstest.MapFS{"proc/meminfo": machine, "sys/fs/cgroup/memory.max": file("67108864\n")}, 64 << 20},
		"version 1": {fstest.MapFS{
			"proc/meminfo": machine,
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n"),
			"sys/fs/cgroup/memory/memory.stat":           file("cache 1\nhierarchical_memory_limit 134217728\n"),
		}, 128 << 20},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { bytes, _ := Memory(c.root); assert.Equal(t, c.want, bytes) })
	}
}
