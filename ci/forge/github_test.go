package forge_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/forge"
	"github.com/slipway-ci/slipway/ci/report"
)

// job is a step of GitHub Actions, with its files and a checkout with the project in app.
type job struct {
	env map[string]string
	log bytes.Buffer
	dir string
	*forge.GitHub
}

func newJob(t testing.TB) *job {
	t.Helper()
	dir := t.TempDir()
	j := &job{dir: dir, env: map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": filepath.Join(dir, "checkout"), "GITHUB_REPOSITORY": "team/greeter",
		"GITHUB_OUTPUT": filepath.Join(dir, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary"),
	}}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "checkout", "app"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "checkout", "app", "main.go"), nil, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "checkout", "go.mod"), nil, 0o644))
	j.GitHub = forge.NewGitHub(forge.Options{Getenv: j.getenv, Log: &j.log, Dirs: func() (string, string) {
		source := filepath.Join(dir, "checkout", "app")
		return source, filepath.Join(source, "dist")
	}})
	return j
}

func (j *job) getenv(name string) string { return j.env[name] }

func (j *job) file(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(j.dir, name))
	require.NoError(t, err)
	return string(data)
}

func (j *job) finish(run report.Run) { j.Observe(report.RunFinished{Run: run}) }

func failedRun() report.Run {
	return report.Run{
		Verb: "ship", Project: "greeter", Version: "1.2.3", Commit: "abc1234", ExitCode: 1, Warnings: []string{"the cache was reset"},
		Stages: []report.Stage{{Name: "verify", Steps: []report.Step{
			{Name: "staticcheck", Status: report.Warned, Findings: []report.Finding{{File: "main.go", Line: 7, Column: 2, Message: "unused (U1000)"}}},
			{Name: "vulnerabilities", Status: report.Warned, Summary: "2 reachable vulnerabilities"},
		}}},
		Failures: []report.Failure{
			{Stage: "verify", Step: "test", Title: "1 test failed", Findings: []report.Finding{
				{File: "main.go", Line: 42, Test: "TestHello/a,b", Message: "want: a\ngot: 100%"},
				{File: "elsewhere/gen.go", Line: 3, Message: "generated"},
			}},
			{Stage: "image", Title: "no room", Tail: []string{"no space left"}, Next: "make room"},
		},
	}
}

func TestAnnotationsHaveTheirPlace(t *testing.T) {
	j := newJob(t)
	j.finish(failedRun())
	assert.Equal(t, []command{
		{"error", map[string]string{"title": "verify: test TestHello/a,b", "file": "app/main.go", "line": "42"}, "want: a\ngot: 100%"},
		{"error", map[string]string{"title": "verify: test"}, "elsewhere/gen.go:3: generated"},
		{"error", map[string]string{"title": "image"}, "no room\nno space left\nmake room"},
		{"warning", map[string]string{"title": "slipway"}, "the cache was reset"},
		{"warning", map[string]string{"title": "verify: staticcheck", "file": "app/main.go", "line": "7", "col": "2"}, "unused (U1000)"},
		{"warning", map[string]string{"title": "verify: vulnerabilities"}, "2 reachable vulnerabilities"},
	}, carriedOut(j.log.String()))
}

func TestNoMoreAnnotationsThanAreShown(t *testing.T) {
	var run report.Run
	for i := range 25 {
		run.Failures = append(run.Failures, report.Failure{Title: fmt.Sprint("failure ", i)})
	}
	all := forge.Annotations(run)
	require.Len(t, all, 10)
	assert.Contains(t, all[9].Message, "and 16 more")
	run.Failures = run.Failures[:10]
	assert.Equal(t, "failure 9", forge.Annotations(run)[9].Message, "ten fit")
}

func TestOutputsAndSummary(t *testing.T) {
	j := newJob(t)
	j.finish(report.Run{
		Version: "1.2.3", Commit: "abc1234", Tested: &report.Tested{Passed: 3},
		Artifacts: []report.Artifact{
			{Name: "greeter", Kind: report.KindBinary, Digest: "sha256:11"},
			{Name: "greeter", Kind: report.KindImage, Digest: "sha256:22"},
			{Name: "worker", Kind: report.KindImage, Digest: "sha256:33"},
		},
		Published: []report.Published{{App: "greeter", Repository: "registry.example.org/greeter", Digest: "sha256:22", Tags: []string{"1.2.3", "1.2"}}},
		Releases:  []report.Release{{Tag: "v1.2.3", URL: "https://github.com/team/greeter/releases/v1.2.3"}},
	})
	got, err := pairs(j.file(t, "output"))
	require.NoError(t, err)
	assert.Equal(t, map[string]string{
		"version": "1.2.3", "commit": "abc1234", "exit-code": "0", "dist": filepath.Join(j.dir, "checkout", "app", "dist"),
		"image": "registry.example.org/greeter@sha256:22", "digest": "sha256:22", "tags": "1.2.3,1.2",
		"images": `[{"app":"greeter","digest":"sha256:22","reference":"registry.example.org/greeter@sha256:22","tags":["1.2.3","1.2"]},` +
			`{"app":"worker","digest":"sha256:33","reference":"","tags":[]}]`,
		"release": "https://github.com/team/greeter/releases/v1.2.3",
	}, got)
	assert.Contains(t, j.file(t, "summary"), "| `registry.example.org/greeter@sha256:22` | `1.2.3, 1.2` | nobody |")
	assert.Empty(t, j.log.String(), "nothing is wrong")
}

func TestSecretsAreHidden(t *testing.T) {
	j := newJob(t)
	j.Hide([]string{"pass%word\n", "-----BEGIN KEY-----\nline one\nab\n", "abc"})
	var masked []string
	for _, c := range carriedOut(j.log.String()) {
		assert.Equal(t, "add-mask", c.name)
		masked = append(masked, c.data)
	}
	assert.Equal(t, []string{"pass%word", "-----BEGIN KEY-----", "line one"}, masked, "what is too short is in every other word")
}

func TestFoldsSurroundWhatIsWritten(t *testing.T) {
	j := newJob(t)
	j.Fold().Open("✓ test ::endgroup::")
	_, err := io.WriteString(j.Log(), "::error::not me\n")
	require.NoError(t, err)
	j.Fold().Close()
	assert.Equal(t, "::group::✓ test ::endgroup::\n: :error::not me\n::endgroup::\n", j.log.String())
}

// The library panics where the runner's files cannot be written, and writes into the working directory where none is named.
func TestMissingFilesCostALineInTheLog(t *testing.T) {
	j := newJob(t)
	delete(j.env, "GITHUB_STEP_SUMMARY")
	j.env["GITHUB_OUTPUT"] = filepath.Join(j.dir, "not", "there")
	j.finish(report.Run{Version: "1"})
	assert.Contains(t, j.log.String(), "! tell GitHub the output: ")
	assert.Contains(t, j.log.String(), "! tell GitHub the summary: GITHUB_STEP_SUMMARY names no file\n")
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestALogThatNobodyReadsEndsNothing(t *testing.T) {
	j := newJob(t)
	g := forge.NewGitHub(forge.Options{Getenv: j.getenv, Log: broken{}, Dirs: func() (string, string) { return j.dir, j.dir }})
	g.Fold().Open("x")
	g.Observe(report.RunFinished{Run: failedRun()})
	assert.Contains(t, j.file(t, "output"), "exit-code<<")
}

func TestInertLeavesWhatIsHarmless(t *testing.T) {
	for given, want := range map[string]string{
		"a::b\n":                     "a::b\n",
		":x::y":                      ":x::y",
		"::error::x":                 ": :error::x",
		"  \u00a0::error::x":         "  \u00a0: :error::x",
		"ok\n::set-output name=a::b": "ok\n: :set-output name=a::b",
		"ok\r::error::b":             "ok\r: :error::b",
		"see ##[error]x":             "see ## [error]x",
		"####[group]":                "#### [group]",
		"# [x] #[y]":                 "# [x] #[y]",
		":::":                        ": ::",
	} {
		var whole, bytewise bytes.Buffer
		_, err := io.WriteString(forge.Inert(&whole), given)
		require.NoError(t, err)
		assert.Equal(t, want, whole.String(), "%q", given)
		w := forge.Inert(&bytewise)
		for _, c := range []byte(given) {
			_, err := w.Write([]byte{c})
			require.NoError(t, err)
		}
		assert.Equal(t, want, bytewise.String(), "%q, byte by byte", given)
	}
}

// No text of a project can be a command, or a second output, or change what an annotation or an output says.
func FuzzGitHub(f *testing.F) {
	for _, s := range []string{
		"", "plain", "a\nb", "a\r\nb\r", "100%", "%0A::error::x", "::error file=a::b", "\n::set-output name=version::9\n", "##[error]x", "a ##[set-output name=version]9",
		"x\n_GitHubActionsFileCommandDelimeter_\nversion<<X\n9\nX", "version=9", "version<<EOF\n9\nEOF", "a,file=b", "a::b", ":", "::", "\u2028::error::", "\u0085::x::", "世界",
		"::stop-commands::x", "::add-mask::e", "\x00", "\xff\xfe", "slipway-", "<<", "=", "\ufeff::error::x", "\x1b[31m::error::x", "##\n[error]", "#", "##", "[error]x",
	} {
		f.Add(s, s)
	}
	j := newJob(f)
	delete(j.env, "GITHUB_STEP_SUMMARY") // the page has a target of its own, FuzzMarkdown
	f.Fuzz(func(t *testing.T, first, second string) {
		j.log.Reset()
		require.NoError(t, os.WriteFile(j.env["GITHUB_OUTPUT"], nil, 0o644))
		for _, text := range []string{first, second, "\n"} { // in any pieces
			_, err := io.WriteString(j.Log(), text)
			require.NoError(t, err)
		}
		assert.Empty(t, carriedOut(j.log.String()), "%q is a text", j.log.String())

		j.log.Reset()
		j.finish(report.Run{
			Version: first, Commit: second,
			Artifacts: []report.Artifact{{Kind: report.KindImage, Name: second, Digest: first}},
			Failures:  []report.Failure{{Stage: first, Step: second, Findings: []report.Finding{{File: second, Line: 1, Test: first, Message: second}}}},
		})
		done := carriedOut(j.log.String())
		if assert.Len(t, done, 1, "%q", j.log.String()) {
			assert.Equal(t, "error", done[0].name)
			assert.True(t, strings.HasSuffix(done[0].data, second), "%q", done[0].data)
			for name := range done[0].properties {
				assert.Contains(t, []string{"title", "file", "line"}, name)
			}
		}
		got, err := pairs(j.file(t, "output"))
		require.NoError(t, err)
		assert.Len(t, got, 9)
		assert.Equal(t, asLines(first), got["version"])
		assert.Equal(t, asLines(second), got["commit"])
		assert.Equal(t, asLines(first), got["digest"])
	})
}

// asLines is what an output keeps of a text: its lines, whatever ends them.
func asLines(text string) string {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(text, "\uFFFD"))
}
