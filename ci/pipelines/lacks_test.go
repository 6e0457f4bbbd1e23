package pipelines

import (
	"testing"
	"time"

	"dagger.io/dagger"
	"github.com/stretchr/testify/assert"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// What go build says of a daemon for Linux, for Windows.
const daemonForWindows = `# example.org/daemon
./main.go:6:14: undefined: syscall.Mount
./main.go:7:27: unknown field Pdeathsig in struct literal of type syscall.SysProcAttr
./main.go:7:75: undefined: syscall.CLONE_NEWNS
./main.go:9:4: a.Setpgid undefined (type syscall.SysProcAttr has no field or method Setpgid)
./main.go:10:16: undefined: syscall.Stat_t
./main.go:10:16: too many errors
`

func TestLacks(t *testing.T) {
	windows := parse(t, "windows/amd64")
	assert.Equal(t, "windows has no syscall.Mount, syscall.SysProcAttr.Pdeathsig, syscall.CLONE_NEWNS and more", lacks(windows, report.ParseCompile(daemonForWindows, ".")))
	for _, output := range []string{
		"",
		"# x\n./main.go:1:2: undefined: mount\n",
		"# x\n./main.go:1:2: undefined: syscall.Mount\n./main.go:2:2: missing return\n",
		"# x\n./main.go:1:2: undefined: mysyscall.Mount\n",
		"link: no such file\n",
	} {
		assert.Empty(t, lacks(windows, report.ParseCompile(output, ".")), output)
	}
}

func TestSettle(t *testing.T) {
	recorder := report.NewRecorder(report.Run{}, nil, time.Now)
	stage := recorder.Stage("build")
	job := func(app, built, why string) *buildJob {
		j := &buildJob{app: project.App{Name: app}, target: parse(t, built), lacks: why, step: stage.Step(app + " " + built), failure: report.Failure{Title: "does not compile"}}
		if why == "" {
			j.file = &dagger.File{}
			j.step.Done(report.Result{})
		}
		return j
	}
	jobs := []*buildJob{
		job("daemon", "linux/amd64", ""), job("daemon", "windows/amd64", "windows has no syscall.Mount"),
		job("typo", "linux/amd64", "linux has no syscall.Muont"), job("typo", "darwin/arm64", "darwin has no syscall.Muont"),
	}
	settle(jobs)
	stage.Done("")
	steps := recorder.Snapshot().Stages[0].Steps
	assert.Equal(t, report.Skipped, steps[1].Status)
	assert.Equal(t, "unsupported: windows has no syscall.Mount", steps[1].Summary)
	assert.Equal(t, []bool{false, false, true, true}, []bool{jobs[0].failed, jobs[1].failed, jobs[2].failed, jobs[3].failed})
	assert.Len(t, recorder.Snapshot().Failures, 2, "a call that no system has is a mistake")
}
