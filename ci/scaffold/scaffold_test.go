package scaffold_test

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/rhysd/actionlint"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/scaffold"
)

var update = flag.Bool("update", false, "write the golden files anew")

// service is a project of one program, on GitHub.
func service() scaffold.Options {
	return scaffold.Options{
		Base: ".", Dir: ".", Slipway: "1.4.0",
		Project: project.Project{
			Name: "hello", Root: "/src/hello", Go: project.GoVersion{Version: "1.26.8", Reason: "of this release of slipway"},
			Modules: []project.Module{{Dir: ".", Path: "example.com/hello"}},
			Apps: []project.App{{
				Name: "hello", Dir: ".", Main: "./cmd/hello", ModuleDir: ".", Vars: map[string]string{"main.version": "0.0.0", "main.commit": "abc", "main.other": ""},
			}},
			Source: project.Source{URL: "https://github.com/acme/hello", Branch: "trunk"},
		},
	}
}

// library is a project without programs, in a directory of a larger repository, that has had a release.
func library() scaffold.Options {
	return scaffold.Options{
		Base: "libs/a b", Dir: "libs/a b", Slipway: "devel",
		Project: project.Project{
			Name: "words", Root: "/src", Go: project.GoVersion{Version: "1.26.8", Reason: "go 1.26.8 in go.mod"},
			Modules: []project.Module{{Dir: "libs/a b"}, {Dir: "libs/a b/tools"}, {Dir: "libs/other"}},
			Version: project.Version{Tag: "v1.0.0"},
			Source:  project.Source{Branch: "what?"},
		},
	}
}

func all(o scaffold.Options) map[string]scaffold.File {
	found := map[string]scaffold.File{}
	for _, ci := range scaffold.Systems() {
		o.CI, o.Makefile = ci, true
		files, err := scaffold.Files(o)
		if err != nil {
			panic(err)
		}
		for _, f := range files {
			found[f.Path] = f
		}
	}
	return found
}

func TestFiles(t *testing.T) {
	for name, o := range map[string]scaffold.Options{"service": service(), "library": library()} {
		t.Run(name, func(t *testing.T) {
			archive := &txtar.Archive{}
			for _, path := range slices.Sorted(maps.Keys(all(o))) {
				f := all(o)[path]
				archive.Files = append(archive.Files, txtar.File{Name: path, Data: []byte(f.Text + strings.Join(f.Lines, "\n"))})
			}
			got := txtar.Format(archive)
			file := filepath.Join("testdata", name+".golden")
			if *update {
				require.NoError(t, os.WriteFile(file, got, 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, string(want), string(got))
		})
	}
}

func TestWorkflowsPassActionlint(t *testing.T) {
	for _, o := range []scaffold.Options{service(), library()} {
		for path, f := range all(o) {
			if !strings.HasPrefix(path, ".github/workflows/") {
				continue
			}
			var out bytes.Buffer
			linter, err := actionlint.NewLinter(&out, &actionlint.LinterOptions{})
			require.NoError(t, err)
			found, err := linter.Lint(path, []byte(f.Text), nil)
			require.NoError(t, err)
			assert.Empty(t, found, out.String())
		}
	}
}

// What others run with our workflow: actions by commit, no more rights than it takes, no credentials left behind.
func TestWorkflowIsSafe(t *testing.T) {
	text := all(service())[".github/workflows/slipway.yml"].Text
	uses := regexp.MustCompile(`uses: (\S+)(.*)`).FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, uses)
	for _, use := range uses {
		assert.Regexp(t, `^[\w-]+/[\w-]+@[0-9a-f]{40}$`, use[1])
		assert.Regexp(t, `^ # v\d+\.\d+\.\d+$`, use[2], "the release, for people and for dependabot")
	}
	var workflow struct {
		Permissions map[string]string
		Concurrency struct{ Group string }
		Jobs        map[string]struct {
			Permissions map[string]string
			Timeout     int `yaml:"timeout-minutes"`
			Steps       []struct {
				Uses, Run string
				With      map[string]any
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(text), &workflow))
	assert.Empty(t, workflow.Permissions)
	assert.NotEmpty(t, workflow.Concurrency.Group)
	assert.NotContains(t, text, "pull_request_target")
	for _, job := range workflow.Jobs {
		assert.Equal(t, map[string]string{"contents": "read"}, job.Permissions)
		assert.Positive(t, job.Timeout)
		assert.Equal(t, false, job.Steps[0].With["persist-credentials"])
		for _, step := range job.Steps {
			assert.NotContains(t, step.Run, "\n", "one line, whose exit code is the step's")
			assert.NotContains(t, step.Run, "go run", "it turns every failure into 1")
			assert.NotContains(t, step.Run, "${{", "nothing that others choose gets into a shell")
		}
	}
}

// An action has one commit in this repository, wherever it is used.
func TestActionsArePinnedOnce(t *testing.T) {
	pins := map[string]string{}
	texts := []string{all(service())[".github/workflows/slipway.yml"].Text}
	for _, pattern := range []string{".github/workflows/*.y*ml", "action.yml", ".github/actions/*/action.yml"} {
		names, err := filepath.Glob(filepath.Join("..", "..", pattern))
		require.NoError(t, err)
		for _, name := range names {
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			texts = append(texts, string(data))
		}
	}
	for _, text := range texts {
		for _, use := range regexp.MustCompile(`uses: (actions/[\w-]+)\S*?@(.*)`).FindAllStringSubmatch(text, -1) {
			if pins[use[1]] == "" {
				pins[use[1]] = use[2]
			}
			assert.Equal(t, pins[use[1]], use[2], use[1])
		}
	}
}

func TestYAMLIsYAML(t *testing.T) {
	for _, o := range []scaffold.Options{service(), library()} {
		for path, f := range all(o) {
			if strings.HasSuffix(path, "yml") || strings.HasSuffix(path, ".yaml") {
				var document map[string]any
				assert.NoError(t, yaml.Unmarshal([]byte(f.Text), &document), path)
				assert.NotEmpty(t, document, path)
			}
		}
	}
}

// GitLab and Jenkins find the reports where a run writes them.
func TestReportsAreWhereTheyAreLookedFor(t *testing.T) {
	files := all(service())
	var gitlab struct {
		Ship struct {
			Script    []string
			Coverage  string
			Artifacts struct {
				When    string
				Paths   []string
				Reports map[string]any
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(files[".gitlab-ci.yml"].Text), &gitlab))
	assert.Equal(t, []string{"slipway ship"}, gitlab.Ship.Script)
	assert.Equal(t, "always", gitlab.Ship.Artifacts.When)
	assert.Equal(t, "dist/reports/junit.xml", gitlab.Ship.Artifacts.Reports["junit"])
	pattern := regexp.MustCompile(strings.Trim(gitlab.Ship.Coverage, "/"))
	assert.Equal(t, "81.2", pattern.FindStringSubmatch("coverage: 81.2% of statements\r")[1], "as forge.GitLab prints it")
	assert.Equal(t, "dist/reports/codequality.json", gitlab.Ship.Artifacts.Reports["codequality"])
	assert.Equal(t, "dist/reports/outputs.env", gitlab.Ship.Artifacts.Reports["dotenv"])
	assert.Contains(t, files["Jenkinsfile"].Text, "junit testResults: 'dist/reports/junit.xml'")
	assert.Contains(t, files["Jenkinsfile"].Text, "recordCoverage tools: [[parser: 'GO_COV', pattern: 'dist/reports/coverage.out']]")
	assert.Contains(t, all(library())["Jenkinsfile"].Text, `ship -C \'libs/a b\''`)
}

func TestMakefile(t *testing.T) {
	make, err := exec.LookPath("make")
	if err != nil {
		t.Skip("make is not installed")
	}
	dir, bin := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Makefile"), []byte(all(service())["Makefile"].Text), 0o644))
	run := func(args ...string) (string, error) {
		cmd := exec.Command(make, args...)
		cmd.Dir, cmd.Env = dir, []string{"PATH=" + bin + ":/bin"}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run("ship")
	require.Error(t, err)
	assert.Contains(t, out, "go install github.com/slipway-ci/slipway/cmd/slipway@v1.4.0")

	require.NoError(t, os.WriteFile(filepath.Join(bin, "slipway"), []byte("#!/bin/sh\necho \"ran $*\"\n[ \"$1\" != smoke ]\n"), 0o755))
	for target, want := range map[string]string{"ship": "ran ship", "test": "ran verify", "publish": "ran publish", "deploy-prod": "ran deploy prod", "rollback-prod": "ran rollback prod"} {
		out, err = run(target, "ARGS=-v -q")
		require.NoError(t, err, out)
		assert.Equal(t, want+" -v -q\n", out)
	}
	_, err = run("smoke")
	assert.Error(t, err, "a failure stays one")
}

func TestVersionToInstall(t *testing.T) {
	for version, want := range map[string]string{
		"1.4.0": "@v1.4.0", "v1.4.0": "@v1.4.0", "v1.4.0-rc.1": "@v1.4.0-rc.1", "v0.0.0-20261126002852-e31bf0c42dd1": "@v0.0.0-20261126002852-e31bf0c42dd1",
		"devel": "@latest", "1.4.0-3-gabc1234": "@latest", "1.4.0-dirty": "@latest", "v0.0.0-20261126002852-e31bf0c42dd1+dirty": "@latest",
		"0.0.0-unversioned": "@latest", "0.0.0-12-gabc1234": "@latest", "": "@latest",
	} {
		o := service()
		o.Slipway = version
		assert.Contains(t, all(o)["Makefile"].Text, want+"'", version)
	}
}
