package command

import (
	"cmp"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/ci/forge"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/report/render"
)

// workplace is where the command runs: a CI system, with places of its own for a run, or none.
type workplace interface {
	report.Observer
	Log() io.Writer        // for people, where no text is a command
	Fold() render.Fold     // nil: nothing can be hidden
	Hide(secrets []string) // from logs
}

var (
	_ workplace = (*forge.GitHub)(nil)
	_ workplace = (*forge.GitLab)(nil)
	_ workplace = forge.Jenkins{}
	_ workplace = forge.Terminal{}
)

// enter finds out where the command runs, and lets it speak there. Somebody who watches at a terminal is in no CI system,
// whatever the environment says.
func (a *app) enter() {
	options := forge.Options{Getenv: a.Getenv, Log: a.Stderr, Dirs: a.dirs}
	a.ci = forge.NewTerminal(options)
	if render.ModeOf(a.Terminal, a.Getenv) == render.Plain {
		switch forge.Detect(a.Getenv) {
		case forge.OnGitHub:
			a.ci = forge.NewGitHub(options)
		case forge.OnGitLab:
			a.ci = forge.NewGitLab(options)
		case forge.OnJenkins:
			a.ci = forge.NewJenkins(options)
		}
	}
	a.Stderr = a.ci.Log()
	a.options.Hide = a.ci.Hide
}

// inert is a writer of results in which no text is a command. GitHub reads both streams.
func (a *app) inert(w io.Writer) io.Writer {
	if _, ok := a.ci.(*forge.GitHub); ok {
		return forge.Inert(w)
	}
	return w
}

// dirs are the directories of the project and of its output, as the flags have them.
func (a *app) dirs() (source, dist string) {
	source = absolute(cmp.Or(a.options.Source, "."))
	return source, absolute(cmp.Or(a.options.Dist, filepath.Join(source, "dist")))
}

func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// refused is a run that did not begin, with what the command says about it, as a workplace shows it.
func refused(run report.Run, err error) report.Run {
	title, more, _ := strings.Cut(err.Error(), "\n")
	failure := report.Failure{Title: title}
	if more != "" {
		failure.Tail = strings.Split(more, "\n")
	}
	var config *project.ConfigError
	if errors.As(err, &config) {
		failure.Title, failure.Tail, failure.Findings = "the configuration is wrong", nil, problems(config)
	}
	run.Failures = []report.Failure{failure}
	return run
}

func problems(config *project.ConfigError) []report.Finding {
	var found []report.Finding
	for _, p := range config.Problems {
		message := p.Message
		if p.Field != "" {
			message = p.Field + ": " + message
		}
		if p.Hint != "" {
			message += " (" + p.Hint + ")"
		}
		found = append(found, report.Finding{File: config.File, Line: p.Line, Column: p.Column, Message: message, Tool: "slipway"})
	}
	return found
}
