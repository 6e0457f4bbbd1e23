package pipelines

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"dagger.io/dagger"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/target"
)

// Binary is one built program.
type Binary struct {
	Product // linux_amd64/greeter
	App     project.App
	Target  target.Target
	Info    artifact.Info
}

// Built is what the build stage made: the binaries in the order of apps and targets. They are in the engine too, where the next
// stages take them from.
type Built struct {
	Binaries []Binary
	Failed   bool
}

// Build builds every app for every target, each as its own cached layer, and writes the binaries to an output: each as soon as
// it is built, while the others still are. Each is checked to be what it must be (format, machine, linking). The error is
// about the engine; what does not compile is in the report.
func (s Stages) Build(ctx context.Context, out Output) (Built, error) {
	if len(s.Project.Apps) == 0 {
		return Built{}, nil
	}
	stage := s.Report.Stage("build")
	binaries, failed, err := s.build(ctx, stage, out)
	stage.Done(plural(len(binaries), "binary", "binaries"))
	return Built{Binaries: binaries, Failed: failed}, err
}

func (s Stages) build(ctx context.Context, stage *report.StageRecorder, out Output) (built []Binary, failed bool, err error) {
	if err := checkVars(s.Project.Apps); err != nil {
		return nil, false, err
	}
	lists, sources, err := s.sources(ctx, stage)
	if err != nil || lists == nil {
		return nil, err == nil, err
	}
	var jobs []*buildJob
	for i, app := range s.Project.Apps {
		for k, t := range app.Targets {
			jobs = append(jobs, &buildJob{app: app, target: t, source: sources[i], verdict: lists[i].Targets[k]})
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, job := range jobs {
		job.step = stage.AppStep(appLabel(s.Project, job.app), job.target.String())
		group.Go(func() error { return s.buildOne(ctx, job, out) })
	}
	err = group.Wait()
	settle(jobs)
	for _, job := range jobs {
		failed = failed || job.failed
		if job.file != nil {
			built = append(built, job.binary())
		}
	}
	return built, failed, err
}

// sources finds out what the builds of each app read, and sends that to the engine. The lists are nil when it is not what was
// there when the run began: then what is tested and what is built may be two things.
func (s Stages) sources(ctx context.Context, stage *report.StageRecorder) ([]inputs, []*dagger.Directory, error) {
	step := stage.Step("inputs")
	step.Progress("go list")
	answer, err := s.inputs(ctx, s.Project.Apps)
	if err != nil {
		return nil, nil, s.engineFailure(step, "inputs", err)
	}
	lists := answer.Queries
	step.Progress("sending what is not there yet")
	parts, files := make([]*dagger.Directory, len(lists)), map[string]bool{}
	for _, list := range lists {
		for _, name := range list.Files {
			files[name] = true
		}
	}
	sent, err := s.sending(func() error {
		group, ctx := errgroup.WithContext(ctx)
		for i, list := range lists {
			group.Go(func() (err error) {
				parts[i], err = s.part(Literals(list.Files)).Sync(ctx)
				return explain(err)
			})
		}
		return group.Wait()
	})
	if err != nil {
		return nil, nil, s.engineFailure(step, "send the sources", err)
	}
	if changed := s.changed(ctx); len(changed) > 0 {
		step.Fail(report.Failure{
			Title: "the project changed while it was read", Tail: changed[:min(len(changed), mostChanged)],
			Cause: "what is tested is then not what is built", Next: "run the same command again, once nothing writes there any more",
		})
		return nil, nil, nil
	}
	summary := plural(len(files), "file", "files")
	if sent.Known {
		summary += "; " + sent.String()
	}
	step.Done(answer.result(s.Started, summary))
	return lists, parts, nil
}

// mostChanged is how many files that have changed are named.
const mostChanged = 10

func (s Stages) changed(ctx context.Context) []string {
	if s.Changed == nil {
		return nil
	}
	return s.Changed(ctx)
}

// buildJob is one app for one target.
type buildJob struct {
	app     project.App
	target  target.Target
	source  *dagger.Directory
	verdict targetVerdict
	step    *report.StepRecorder
	file    *dagger.File
	sha256  string
	info    artifact.Info
	failed  bool
	lacks   string         // system calls that are not there, when only these are missing
	failure report.Failure // told when no target has them
}

func (j *buildJob) binary() Binary {
	path := j.target.Dir() + "/" + j.target.Exe(j.app.Binary)
	return Binary{App: j.app, Target: j.target, Info: j.info, Product: Product{Path: path, Mode: 0o755, SHA256: j.sha256, file: j.file}}
}

func (s Stages) buildOne(ctx context.Context, job *buildJob, out Output) error {
	if job.verdict.Excluded && !job.app.TargetsNamed {
		job.step.Done(report.Result{Status: report.Skipped, Summary: "unsupported: " + job.verdict.Reason})
		return nil
	}
	name := outDir + "/" + job.target.Exe(job.app.Binary)
	argv := buildArgs(job.app, name)
	if job.verdict.Unlisted {
		job.failed = true
		job.step.Fail(job.unlisted(argv))
		return nil
	}
	job.step.Command(argv...)
	o, err := s.run(ctx, s.builder(job), command{step: job.step, argv: argv, makes: name})
	if err != nil {
		return s.engineFailure(job.step, "build "+job.target.String(), err)
	}
	s.show(ctx, job.step, o)
	if !o.ok() {
		failure := s.buildFailure(ctx, job, o)
		if why := lacks(job.target, failure.Findings); why != "" && !job.app.TargetsNamed {
			job.lacks, job.failure = why, failure
			return nil
		}
		job.failed = true
		job.step.Fail(failure)
		return nil
	}
	job.file, job.sha256 = o.After.File(name), o.SHA256
	if err := s.bringOut(ctx, job, out); err != nil || job.failed {
		return err
	}
	job.step.Done(o.result(""))
	return nil
}

// builder is the container that a target is built in: only the build's inputs are in it.
func (s Stages) builder(job *buildJob) *dagger.Container {
	root := s.buildRoot()
	if job.app.Build.CGO {
		root = s.made.tests()
	}
	for _, kv := range append(targetEnv(job.app, job.target), workspaceEnv(job.app.Workspace)...) {
		name, value, _ := strings.Cut(kv, "=")
		root = root.WithEnvVariable(name, value)
	}
	return root.WithMountedDirectory(sourceDir, job.source).WithWorkdir(filepath.ToSlash(filepath.Join(sourceDir, job.app.Dir)))
}

func (s Stages) buildFailure(ctx context.Context, job *buildJob, o outcome) report.Failure {
	failure := o.failure(ctx, "does not compile for "+job.target.String())
	output, err := o.output(ctx)
	if err != nil {
		output = err.Error()
	}
	failure.Findings = report.ParseCompile(output, job.app.Dir)
	failure.Next = "mend the lines above"
	if len(failure.Findings) == 0 {
		failure.Title, failure.Next = "cannot be built for "+job.target.String(), "see the lines above"
	}
	failure.Reproduce = job.reproduce()
	return failure
}

// unlisted is the card of a target that go list failed for: nothing is known of what its build reads.
func (j *buildJob) unlisted(argv []string) report.Failure {
	return report.Failure{
		Title: "cannot be built for " + j.target.String(), Command: argv, Tail: report.Tail(j.verdict.Reason), Cause: goCause(j.verdict.Reason),
		Next: "see the lines above", Reproduce: j.reproduce(),
	}
}

func (j *buildJob) reproduce() string {
	command := append(append([]string{"env"}, targetEnv(j.app, j.target)...), "go", "build", "-o", "/dev/null", j.app.Main)
	return report.Shell("cd", j.app.Dir) + " && " + report.Shell(command...)
}

// bringOut writes a binary to the output and proves that it is what it must be.
func (s Stages) bringOut(ctx context.Context, job *buildJob, out Output) error {
	b := job.binary()
	if err := b.export(ctx, out); err != nil {
		return fmt.Errorf("export the binary for %s: %w", job.target, err)
	}
	want := artifact.Want{Target: b.Target, Link: b.App.Build.Link, CGO: b.App.Build.CGO, GoVersion: s.Project.Go.Version}
	var err error
	if job.info, err = artifact.Check(filepath.Join(out.Dir, filepath.FromSlash(b.Path)), want); err != nil {
		job.failed = true
		job.step.Fail(report.Failure{
			Title: "the binary for " + b.Target.String() + " is not what it must be", Tail: strings.Split(err.Error(), "\n"),
			Next: "see build.link and build.cgo of " + b.App.Name + " in slipway.yaml",
		})
	}
	return nil
}

// buildArgs is the command line that builds an app into a file.
func buildArgs(app project.App, out string) []string {
	args := []string{"go", "build", "-trimpath"}
	if len(app.Build.Tags) > 0 {
		args = append(args, "-tags="+strings.Join(app.Build.Tags, ","))
	}
	if len(app.Build.Gcflags) > 0 {
		args = append(args, "-gcflags="+strings.Join(app.Build.Gcflags, " "))
	}
	return append(args, "-ldflags="+strings.Join(ldflags(app), " "), "-o", out, app.Main)
}

// ldflags strips symbols, sets the version variables and adds what the project asks for, last, so that it wins.
func ldflags(app project.App) []string {
	flags := []string{"-s", "-w"}
	for _, name := range sorted(app.Vars) {
		flags = append(flags, "-X", quoteFlag(name+"="+app.Vars[name]))
	}
	if app.Build.CGO && app.Build.Link == "static" {
		flags = append(flags, "-linkmode=external", "-extldflags=-static")
	}
	return append(flags, app.Build.Ldflags...)
}

// quoteFlag quotes one flag for -ldflags, which splits at spaces and knows both quotes, at the beginning of a flag, but no
// escape (cmd/internal/quoted). A flag that needs more is refused before: see [project.CheckVar].
func quoteFlag(flag string) string {
	switch {
	case !strings.ContainsAny(flag, " \t\n\r"):
		return flag
	case !strings.Contains(flag, "'"):
		return "'" + flag + "'"
	}
	return `"` + flag + `"`
}

// checkVars refuses values that no flag can carry. Those of slipway.yaml were looked at when it was read.
func checkVars(apps []project.App) error {
	for _, app := range apps {
		for _, name := range sorted(app.Vars) {
			if err := project.CheckVar(app.Vars[name]); err != nil {
				return fmt.Errorf("set %s of %s: %w", name, app.Name, err)
			}
		}
	}
	return nil
}

// appLabel names an app in a step; a project with one app need not say which.
func appLabel(p project.Project, app project.App) string {
	if len(p.Apps) == 1 {
		return ""
	}
	return app.Name
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
