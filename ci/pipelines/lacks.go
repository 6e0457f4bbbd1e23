package pipelines

import (
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/target"
)

// lacks says which system calls keep a program from being compiled for a target, when nothing else does, or "". Such a program
// is right, and not meant for that system: a daemon that mounts file systems, for Windows.
func lacks(t target.Target, findings []report.Finding) string {
	var missing []string
	for _, f := range findings {
		name := missingCall(f.Message)
		if name == "" {
			return ""
		}
		if !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return ""
	}
	more := ""
	if len(missing) > 3 {
		missing, more = missing[:3], " and more"
	}
	return t.OS + " has no " + strings.Join(missing, ", ") + more
}

// missingCall is what of the packages that speak to the system a compiler's message misses, or "".
func missingCall(message string) string {
	const pkg = `(?:syscall|unix|windows)`
	if m := regexp.MustCompile(`^undefined: (` + pkg + `\.\w+)$`).FindStringSubmatch(message); m != nil {
		return m[1]
	}
	if m := regexp.MustCompile(`^unknown field (\w+) in struct literal of type (` + pkg + `\.\w+)`).FindStringSubmatch(message); m != nil {
		return m[2] + "." + m[1]
	}
	if m := regexp.MustCompile(`undefined \(type \*?(` + pkg + `\.\w+) has no field or method (\w+)`).FindStringSubmatch(message); m != nil {
		return m[1] + "." + m[2]
	}
	return ""
}

// settle ends the steps of targets that lack system calls. They are unsupported when the app could be built for another
// target; a call that no system has is a mistake.
func settle(jobs []*buildJob) {
	for _, job := range jobs {
		if job.lacks == "" {
			continue
		}
		if slices.ContainsFunc(jobs, func(other *buildJob) bool { return other.app.Name == job.app.Name && other.file != nil }) {
			job.step.Done(report.Result{Status: report.Skipped, Summary: "unsupported: " + job.lacks})
			continue
		}
		job.failed = true
		job.step.Fail(job.failure)
	}
}
