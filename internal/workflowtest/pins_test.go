// Package workflowtest tries this repository's workflows and its action: what they say, and, under act, what they do.
package workflowtest_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/internal/tooltest"
)

const (
	actVersion        = "v0.2.89"
	actionlintVersion = "v1.7.12"
)

// root is the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	return dir
}

func workflows(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root(t), ".github", "workflows", "*.yml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	texts := map[string]string{}
	for _, file := range append(files, filepath.Join(root(t), "action.yml")) {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		texts[filepath.Base(file)] = string(data)
	}
	return texts
}

func TestActionlintHasNothingToSay(t *testing.T) {
	lint := exec.Command(tooltest.Install(t, "github.com/rhysd/actionlint/cmd/actionlint", actionlintVersion))
	lint.Dir = root(t)
	output, err := lint.CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// A tag can be moved to other code; a commit cannot.
func TestActionsArePinned(t *testing.T) {
	uses := regexp.MustCompile(`(?m)^\s*(?:- )?uses: (\S+)(.*)$`)
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+(?:/[\w-]+)?@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	seen := map[string]string{}
	for name, text := range workflows(t) {
		for _, m := range uses.FindAllStringSubmatch(text, -1) {
			if m[1] == "./" {
				continue
			}
			assert.Regexp(t, pinned, m[1]+m[2], "%s", name)
			action, commit, _ := strings.Cut(m[1], "@")
			if before, ok := seen[action]; ok {
				assert.Equal(t, before, commit+m[2], "%s: one version of %s everywhere", name, action)
			}
			seen[action] = commit + m[2]
		}
	}
	assert.Contains(t, seen, "actions/checkout")
}

// workflow is what the rules below look at.
type workflow struct {
	On          map[string]any    `yaml:"on"`
	Permissions map[string]string `yaml:"permissions"`
	Concurrency *concurrency      `yaml:"concurrency"`
	Jobs        map[string]struct {
		Permissions map[string]string `yaml:"permissions"`
		Concurrency *concurrency      `yaml:"concurrency"`
		Minutes     int               `yaml:"timeout-minutes"`
		Steps       []struct {
			Uses string            `yaml:"uses"`
			Run  string            `yaml:"run"`
			With map[string]string `yaml:"with"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

type concurrency struct {
	Group  string `yaml:"group"`
	Cancel string `yaml:"cancel-in-progress"`
}

func TestWorkflowsAskForNoMoreThanTheyNeed(t *testing.T) {
	for name, text := range workflows(t) {
		if name == "action.yml" {
			continue
		}
		var w workflow
		require.NoError(t, yaml.Unmarshal([]byte(text), &w), "%s", name)
		assert.NotNil(t, w.Permissions, "%s: permissions at the top", name)
		assert.Empty(t, w.Permissions, "%s: nothing for all jobs", name)
		assert.NotContains(t, w.On, "pull_request_target", "%s: it gives secrets to strangers", name)
		for id, job := range w.Jobs {
			assert.NotEmpty(t, job.Permissions, "%s: %s says what it needs", name, id)
			assert.Positive(t, job.Minutes, "%s: %s ends some time", name, id)
			if name != "release.yml" {
				assert.Equal(t, map[string]string{"contents": "read"}, job.Permissions, "%s: %s", name, id)
			}
			require.True(t, w.Concurrency != nil || job.Concurrency != nil, "%s: %s is in a group", name, id)
			for _, step := range job.Steps {
				if strings.HasPrefix(step.Uses, "actions/checkout@") {
					assert.Equal(t, "false", step.With["persist-credentials"], "%s: %s", name, id)
				}
				assert.NotContains(t, step.Run, "${{", "%s: %s: a value becomes part of a script; pass it in the environment", name, id)
				assert.NotContains(t, strings.TrimSpace(step.Run), "\n", "%s: %s: a step is one line", name, id)
			}
		}
		if name == "release.yml" {
			assert.Equal(t, "false", w.Concurrency.Cancel, "a release is never cut off")
		}
	}
}

// Dependabot looks at every module of this repository.
func TestDependabotKnowsTheModules(t *testing.T) {
	var config struct {
		Updates []struct {
			Ecosystem   string   `yaml:"package-ecosystem"`
			Directories []string `yaml:"directories"`
		} `yaml:"updates"`
	}
	data, err := os.ReadFile(filepath.Join(root(t), ".github", "dependabot.yml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &config))
	var modules []string
	require.NoError(t, fs.WalkDir(os.DirFS(root(t)), ".", func(name string, entry fs.DirEntry, err error) error { // git is no part of what make ship tests
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "testdata", "dist", "node_modules"}, entry.Name()):
			return fs.SkipDir
		case entry.Name() == "go.mod":
			modules = append(modules, path.Join("/", path.Dir(name)))
		}
		return nil
	}))
	var known []string
	for _, update := range config.Updates {
		known = append(known, update.Directories...)
	}
	assert.ElementsMatch(t, modules, known)
}
