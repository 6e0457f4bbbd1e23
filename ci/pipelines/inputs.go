package pipelines

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/target"
)

// inputs is what the builds of one app read, and which of its targets can be.
type inputs struct {
	Files   []string        `json:"files"`
	Targets []targetVerdict `json:"targets"`
}

type targetVerdict struct {
	OK       bool   `json:"ok"`
	Excluded bool   `json:"excluded"`
	Reason   string `json:"reason"`
}

// inputs asks go list, in a container, what each app's builds read. A change elsewhere (a test, a README) then changes no
// build's key.
func (s Stages) inputs(ctx context.Context, apps []project.App) ([]inputs, error) {
	request, err := json.Marshal(inputsRequest(apps))
	if err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	container := s.buildRoot().
		WithMountedDirectory(sourceDir, s.made.source()).
		WithNewFile(requestDir+"/inputs.json", string(request)).
		WithExec([]string{inboxPath, "inputs", requestDir + "/inputs.json"})
	text, err := container.Stdout(ctx)
	if err != nil {
		return nil, fmt.Errorf("list what the builds read: %w", explain(err))
	}
	var answer struct {
		Queries []inputs `json:"queries"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, fmt.Errorf("read what the builds read: %w", err)
	}
	if len(answer.Queries) != len(apps) {
		return nil, fmt.Errorf("list what the builds read: %d answers for %d apps", len(answer.Queries), len(apps))
	}
	return answer.Queries, nil
}

// inputsRequest is the question as inbox takes it.
func inputsRequest(apps []project.App) any {
	type spec struct {
		Env  []string `json:"env"`
		Tags []string `json:"tags"`
	}
	type query struct {
		Dir     string `json:"dir"`
		Package string `json:"package"`
		Targets []spec `json:"targets"`
	}
	queries := make([]query, len(apps))
	for i, app := range apps {
		queries[i] = query{Dir: path.Join(sourceDir, app.Dir), Package: app.Main}
		for _, t := range app.Targets {
			env := append(targetEnv(app, t), workspaceEnv(app.Workspace)...)
			queries[i].Targets = append(queries[i].Targets, spec{Env: env, Tags: app.Build.Tags})
		}
	}
	return map[string]any{"root": sourceDir, "queries": queries}
}

// workspaceEnv keeps a module that go.work does not list out of the workspace.
func workspaceEnv(listed bool) []string {
	if listed {
		return nil
	}
	return []string{"GOWORK=off"}
}

// targetEnv is the environment that makes the go command build for a target.
func targetEnv(app project.App, t target.Target) []string {
	cgo := "0"
	if app.Build.CGO {
		cgo = "1"
	}
	env := append(t.Env(), "CGO_ENABLED="+cgo)
	for _, name := range sorted(app.Build.Env) {
		env = append(env, name+"="+app.Build.Env[name])
	}
	return env
}

// literal is a pattern that matches one name and no other. A pattern with anything special in it becomes a regular expression,
// and what is special there must then be escaped as well. White space at the ends would be trimmed, and is put into brackets
// (github.com/moby/patternmatcher).
func literal(name string) string {
	trimmed := strings.TrimSpace(name)
	if trimmed == name && !strings.ContainsAny(name, `\*?[]!`) {
		return name
	}
	before := strings.Index(name, trimmed)
	after := before + len(trimmed)
	var pattern strings.Builder
	for i, r := range name {
		switch {
		case i < before || i >= after:
			pattern.WriteString("[" + string(r) + "]")
			continue
		case strings.ContainsRune(`\*?[]!^+(){}|`, r):
			pattern.WriteByte('\\')
		}
		pattern.WriteRune(r)
	}
	return pattern.String()
}

func isTest(name string) bool { return strings.HasSuffix(name, "_test.go") }
