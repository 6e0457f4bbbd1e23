package workflowtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/slipway-ci/slipway/ci/ship"
	"github.com/slipway-ci/slipway/internal/tooltest"
)

// entry is a line of act's log: a text, or a command that it carried out.
type entry struct {
	Msg       string
	Command   string            // error, warning, set-output, summary, group …
	Name      string            // of an output
	Arg       string            // its value, or the text of an annotation
	KVPairs   map[string]string `json:"kvPairs"`
	Content   string            // of a summary
	JobID     string
	JobResult string
	Raw       bool `json:"raw_output"` // what a step printed
}

// entries are the log of a run.
type entries []entry

func (all entries) of(command string) entries {
	return slices.DeleteFunc(slices.Clone(all), func(e entry) bool { return e.Command != command })
}

// output is what the last step set that set this output.
func (all entries) output(name string) string {
	value := ""
	for _, e := range all.of("set-output") {
		if e.Name == name {
			value = e.Arg
		}
	}
	return value
}

func (all entries) summary() string {
	var text strings.Builder
	for _, e := range all.of("summary") {
		text.WriteString(e.Content)
	}
	return text.String()
}

func (all entries) printed() string {
	var text strings.Builder
	for _, e := range all {
		if e.Raw {
			text.WriteString(e.Msg)
		}
	}
	return text.String()
}

// results are how the jobs ended.
func (all entries) results() map[string]string {
	results := map[string]string{}
	for _, e := range all {
		if e.JobResult != "" {
			results[e.JobID] = e.JobResult
		}
	}
	return results
}

// standIns are the actions of others, as small as they can be: what is tried here is ours. A repository's files by their names.
var standIns = map[string]map[string]string{
	"actions/setup-go": {"action.yml": "name: stand-in\nruns: {using: composite, steps: [{shell: bash, run: go version}]}\n"},
	"actions/upload-artifact": {"action.yml": `name: stand-in
inputs: {name: {}, path: {}, if-no-files-found: {}}
runs:
  using: composite
  steps:
    - {shell: bash, run: 'cp -r "$FROM" "$UPLOADS/$NAME"', env: {FROM: "${{ inputs.path }}", NAME: "${{ inputs.name }}"}}
`},
	// A key is a file in $CACHES. Its paths are absolute, and stay so.
	"actions/cache": {"restore/action.yml": `name: stand-in
inputs: {path: {}, key: {}, restore-keys: {}}
outputs:
  cache-hit: {value: "${{ steps.find.outputs.cache-hit }}"}
  cache-primary-key: {value: "${{ inputs.key }}"}
runs:
  using: composite
  steps:
    - id: find
      shell: bash
      run: |
        for key in "$KEY" $OTHERS; do
          found=$(ls -t "$CACHES" | grep -F -m 1 -- "$key") || continue
          tar -xPf "$CACHES/$found"
          echo "restored $found"
          [ "$found" = "$KEY" ] && echo "cache-hit=true" >>"$GITHUB_OUTPUT"
          exit 0
        done
        echo "nothing to restore"
      env: {KEY: "${{ inputs.key }}", OTHERS: "${{ inputs.restore-keys }}"}
`, "save/action.yml": `name: stand-in
inputs: {path: {}, key: {}}
runs:
  using: composite
  steps:
    - {shell: bash, run: 'tar -cPf "$CACHES/$KEY" $WHAT && echo "kept $KEY"', env: {KEY: "${{ inputs.key }}", WHAT: "${{ inputs.path }}"}}
`},
}

// runner is where workflows run: on this machine, without GitHub.
type runner struct {
	uploads string // what upload-artifact was given, by name
	program string // slipway, as it is here
	cache   string // of a new machine
	flags   []string
}

func newRunner(t *testing.T) *runner {
	t.Helper()
	if testing.Short() {
		t.Skip("it runs whole workflows: run without -short")
	}
	r := &runner{uploads: t.TempDir(), program: buildProgram(t)}
	r.setenv("UPLOADS", r.uploads)
	r.setenv("CACHES", t.TempDir())
	uses := regexp.MustCompile(`uses: (actions/[\w-]+)\S*@(\S+)`)
	for _, text := range workflows(t) {
		for _, m := range uses.FindAllStringSubmatch(text, -1) {
			if files, ok := standIns[m[1]]; ok {
				dir := t.TempDir()
				write(t, dir, files)
				r.local(m[1]+"@"+m[2], dir)
			}
		}
	}
	return r
}

func (r *runner) local(repository, dir string) {
	r.flags = append(r.flags, "--local-repository", repository+"="+dir)
}

func (r *runner) setenv(name, value string) {
	r.flags = append(r.flags, "--env", name+"="+value)
}

// newMachine has runs find what a machine has on which nothing ever ran: no engine's state, no results. The programs that engines
// are made of are there, since building them takes minutes.
func (r *runner) newMachine(t *testing.T) {
	t.Helper()
	shared, err := ship.CacheDir(os.Getenv)
	require.NoError(t, err)
	cache := filepath.Join(t.TempDir(), "cache")
	r.setenv("SLIPWAY_CACHE", cache)
	r.cache = cache
	for _, name := range []string{"engine/layers", "rootfs"} {
		if _, err := os.Stat(filepath.Join(shared, name)); err == nil {
			to := filepath.Join(cache, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
			output, err := exec.Command("cp", "-a", filepath.Join(shared, name), to).CombinedOutput()
			require.NoError(t, err, "%s", output)
		}
	}
	t.Cleanup(func() { r.forget(t) })
}

// forget takes from a new machine all that is on it.
func (r *runner) forget(t *testing.T) {
	t.Helper()
	stop := exec.Command(r.program, "engine", "stop")
	stop.Env = append(os.Environ(), "SLIPWAY_CACHE="+r.cache)
	output, err := stop.CombinedOutput()
	require.NoError(t, err, "%s", output)
	output, err = exec.Command("rm", "-rf", r.cache).CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// run carries out a workflow of a repository for an event. It returns the log, whatever became of the jobs.
func (r *runner) run(t *testing.T, repository, workflow, event, payload string, flags ...string) entries {
	t.Helper()
	file := filepath.Join(t.TempDir(), "event.json")
	require.NoError(t, os.WriteFile(file, []byte(payload), 0o644))
	act := exec.Command(tooltest.Install(t, "github.com/nektos/act", actVersion), append([]string{
		event, "--json", "--no-cache-server", "--eventpath", file, "-W", filepath.Join(".github", "workflows", workflow),
		"-P", "ubuntu-latest=-self-hosted", "--action-cache-path", t.TempDir(),
	}, slices.Concat(r.flags, flags)...)...)
	act.Dir = repository
	var stdout, stderr bytes.Buffer
	act.Stdout, act.Stderr = &stdout, &stderr
	_ = act.Run() // the jobs' results are in the log
	var all entries
	for line := range bytes.Lines(stdout.Bytes()) {
		var e entry
		if json.Unmarshal(line, &e) == nil {
			all = append(all, e)
		}
	}
	require.NotEmpty(t, all.results(), "%s%s", stdout.String(), stderr.String())
	return all
}

const origin = "https://github.com/slipway-ci/slipway.git"

// repository makes a repository of files, as it would come from GitHub. The commit is the same for the same files.
func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, files)
	commit(t, dir)
	return dir
}

func commit(t *testing.T, dir string) {
	t.Helper()
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "remote", "add", "origin", origin)
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "all of it")
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "git %v: %s", args, output)
	return string(output)
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
}

// copyOfThis is this repository as it lies here, with some files that are other ones.
func copyOfThis(t *testing.T, other map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	copyTree(t, dir)
	write(t, dir, other)
	commit(t, dir)
	return dir
}

// copyTree copies what git knows, or would: no output, no caches.
func copyTree(t *testing.T, to string) {
	t.Helper()
	for name := range strings.SplitSeq(git(t, root(t), "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00") {
		from := filepath.Join(root(t), name)
		info, err := os.Lstat(from)
		if name == "" || err != nil || !info.Mode().IsRegular() {
			continue
		}
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		file := filepath.Join(to, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, data, info.Mode().Perm()))
	}
}

// asModule publishes this repository as a version, for the go command of a run alone: on a proxy of its own, which has what is
// downloaded already, too.
func (r *runner) asModule(t *testing.T, version string) {
	t.Helper()
	source, published := t.TempDir(), t.TempDir()
	copyTree(t, source)
	mod, err := os.ReadFile(filepath.Join(source, "go.mod"))
	require.NoError(t, err)
	var archive bytes.Buffer
	require.NoError(t, zip.CreateFromDir(&archive, module.Version{Path: "github.com/slipway-ci/slipway", Version: version}, source))
	const dir = "github.com/slipway-ci/slipway/@v/"
	write(t, published, map[string]string{
		dir + "list": version + "\n", dir + version + ".info": fmt.Sprintf(`{"Version": %q}`, version),
		dir + version + ".mod": string(mod), dir + version + ".zip": archive.String(),
	})
	downloaded := filepath.Join(goEnv(t, "GOMODCACHE"), "cache", "download")
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		for _, dir := range []string{published, downloaded} {
			file := filepath.Join(dir, filepath.FromSlash(path.Clean("/"+request.URL.Path)))
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
				http.ServeFile(w, request, file)
				return
			}
		}
		http.NotFound(w, request) // the next proxy may have it
	}))
	t.Cleanup(proxy.Close)
	r.setenv("GOPROXY", proxy.URL+","+goEnv(t, "GOPROXY"))
	r.setenv("GONOSUMDB", "github.com/slipway-ci/slipway,"+goEnv(t, "GONOSUMDB"))
	r.setenv("GOMODCACHE", t.TempDir()) // this version must not stay with the user's
	r.setenv("GOFLAGS", "-modcacherw")
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	output, err := exec.Command("go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(output))
}

// laptop runs the program as a person would, in a repository.
func (r *runner) laptop(t *testing.T, repository string, args ...string) {
	t.Helper()
	run := exec.Command(r.program, args...)
	run.Dir = repository
	output, err := run.CombinedOutput()
	require.NoError(t, err, "%s", output)
}

func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "slipway")
	build := exec.Command("go", "build", "-o", program, "./cmd/slipway")
	build.Dir = root(t)
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return program
}
