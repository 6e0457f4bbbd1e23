package pipelines

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dagger.io/dagger"

	"github.com/slipway-ci/slipway/ci/pipelines/inbox/outline"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/target"
)

// inputs is what the builds of one app read, and which of its targets can be.
type inputs struct {
	Files   []string        `json:"files"`
	Targets []targetVerdict `json:"targets"`
}

// inputsAnswer is what inbox found out, and when: an old answer was replayed.
type inputsAnswer struct {
	Started    time.Time `json:"started"`
	DurationMS int64     `json:"duration_ms"`
	Queries    []inputs  `json:"queries"`
}

// result is how a step that got this answer shows it. It took longer than the answer where files had to be sent.
func (a inputsAnswer) result(began time.Time, summary string) report.Result {
	if a.Started.Before(began) {
		return report.Result{Status: report.Cached, Summary: summary, Saved: time.Duration(a.DurationMS) * time.Millisecond}
	}
	return report.Result{Summary: summary}
}

type targetVerdict struct {
	OK       bool   `json:"ok"`
	Excluded bool   `json:"excluded"`
	Unlisted bool   `json:"unlisted"` // go list ended with the reason
	Reason   string `json:"reason"`
}

// inputs asks go list, in a container, what each app's builds read. A change elsewhere (a test, a README) then changes no
// build's key. The container sees the project's outline only, so that most changes do not ask again. Where go list has failed
// before, it is asked again: that may have been the network.
func (s Stages) inputs(ctx context.Context, apps []project.App) (inputsAnswer, error) {
	var answer inputsAnswer
	file := filepath.Join(s.Scratch, ".outline.tar")
	defer os.Remove(file)
	container, outlined, err := s.outlined(ctx, s.buildRoot(), file)
	if err != nil {
		return answer, err
	}
	request, err := json.Marshal(inputsRequest(apps, outlined))
	if err != nil {
		return answer, fmt.Errorf("write the request: %w", err)
	}
	container = container.WithNewFile(requestDir+"/inputs.json", string(request))
	if answer, err = askInputs(ctx, container); err == nil && answer.Started.Before(s.Started) && answer.unlisted() {
		answer, err = askInputs(ctx, container.WithEnvVariable(attemptVariable, s.RunID))
	}
	if err == nil && len(answer.Queries) != len(apps) {
		err = fmt.Errorf("list what the builds read: %d answers for %d apps", len(answer.Queries), len(apps))
	}
	return answer, err
}

func askInputs(ctx context.Context, c *dagger.Container) (inputsAnswer, error) {
	var answer inputsAnswer
	text, err := c.WithExec([]string{inboxPath, "inputs", requestDir + "/inputs.json"}).Stdout(ctx)
	if err != nil {
		return answer, fmt.Errorf("list what the builds read: %w", explain(err))
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return answer, fmt.Errorf("read what the builds read: %w", err)
	}
	return answer, nil
}

// unlisted tells whether go list has failed for a target.
func (a inputsAnswer) unlisted() bool {
	return slices.ContainsFunc(a.Queries, func(in inputs) bool {
		return slices.ContainsFunc(in.Targets, func(v targetVerdict) bool { return v.Unlisted })
	})
}

// outlined is a container with what go list needs to see, and the archive in it that has to be unpacked; "" when the sources
// themselves are there, because they are made in the engine.
func (s Stages) outlined(ctx context.Context, c *dagger.Container, file string) (*dagger.Container, string, error) {
	if s.Change != nil {
		return c.WithMountedDirectory(sourceDir, s.made.source()), "", nil
	}
	if err := s.writeOutline(ctx, file); err != nil {
		return nil, "", err
	}
	const archive = requestDir + "/outline.tar"
	c = c.WithDirectory(sourceDir, s.Client.Directory(), dagger.ContainerWithDirectoryOpts{Owner: owner}).
		WithMountedFile(archive, s.Client.Host().File(file))
	return c, archive, nil
}

func (s Stages) writeOutline(ctx context.Context, file string) (err error) {
	excludes, err := project.ReadExcludes(s.Exclude)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(s.Project.Root)
	if err != nil {
		return fmt.Errorf("outline the sources: %w", err)
	}
	defer root.Close()
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("outline the sources: %w", err)
	}
	buffered := bufio.NewWriter(f)
	err = outline.Write(ctx, buffered, root.FS(), excludes.Leave)
	return errors.Join(err, buffered.Flush(), f.Close())
}

// inputsRequest is the question as inbox takes it.
func inputsRequest(apps []project.App, outline string) any {
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
	return map[string]any{"root": sourceDir, "outline": outline, "queries": queries}
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
