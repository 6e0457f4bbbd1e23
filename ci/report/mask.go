package report

import "strings"

// text makes a text safe to print and hides the secrets in it. It is cleaned
// first: a control sequence inside a secret would hide it from the mask.
func (r *Recorder) text(s string) string {
	s = Clean(s)
	if r.Mask == nil || s == "" {
		return s
	}
	return Clean(r.Mask(s))
}

// line is text for a place that has one line.
func (r *Recorder) line(s string) string {
	return strings.Join(strings.FieldsFunc(r.text(s), func(c rune) bool { return c == '\n' }), " ")
}

func (r *Recorder) lines(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = r.text(s)
	}
	return out
}

// tail joins before it masks, because a secret may have several lines, and cuts
// after it, because half a secret is not seen by the mask.
func (r *Recorder) tail(lines []string) []string {
	return Tail(r.text(strings.Join(lines, "\n")))
}

func (r *Recorder) findings(in []Finding) []Finding {
	out := make([]Finding, len(in))
	for i, f := range in {
		f.File, f.Message, f.Tool = r.line(f.File), r.text(f.Message), r.line(f.Tool)
		f.Test, f.Package = r.line(f.Test), r.line(f.Package)
		out[i] = f
	}
	return out
}

func (r *Recorder) failure(f Failure) Failure {
	f.Stage, f.Step, f.Title = r.line(f.Stage), r.line(f.Step), r.line(f.Title)
	f.Command, f.Findings, f.Tail = r.lines(f.Command), r.findings(f.Findings), r.tail(f.Tail)
	f.Cause, f.Next, f.Reproduce = r.text(f.Cause), r.text(f.Next), r.text(f.Reproduce)
	return f
}

func (r *Recorder) fact(f Fact) Fact {
	return Fact{What: r.line(f.What), Value: r.line(f.Value), Why: r.line(f.Why)}
}

func (r *Recorder) engine(e Engine) Engine {
	return Engine{Kind: r.line(e.Kind), Address: r.line(e.Address), Version: r.line(e.Version), Reason: r.line(e.Reason)}
}

func (r *Recorder) artifact(a Artifact) Artifact {
	a.Name, a.Path, a.Kind = r.line(a.Name), r.line(a.Path), r.line(a.Kind)
	a.Target, a.Digest = r.line(a.Target), r.line(a.Digest)
	return a
}

func (r *Recorder) release(release Release) Release {
	return Release{Tag: r.line(release.Tag), URL: r.line(release.URL), Files: r.lines(release.Files), Sent: r.lines(release.Sent)}
}

func (r *Recorder) published(p Published) Published {
	p.App, p.Repository, p.Digest, p.Signed = r.line(p.App), r.line(p.Repository), r.line(p.Digest), r.line(p.Signed)
	p.Tags, p.Attached = r.lines(p.Tags), full(p.Attached)
	for i, a := range p.Attached {
		p.Attached[i] = Attached{Type: r.line(a.Type), Digest: r.line(a.Digest)}
	}
	return p
}

// maskRun treats what a run began with.
func (r *Recorder) maskRun(run Run) Run {
	for _, s := range []*string{
		&run.Slipway, &run.Project, &run.Version, &run.VersionWhy, &run.Commit, &run.Verb, &run.Dist, &run.Parallel.Why,
	} {
		*s = r.line(*s)
	}
	run.Engine = r.engine(run.Engine)
	for i, f := range run.Inferred {
		run.Inferred[i] = r.fact(f)
	}
	for i, a := range run.Artifacts {
		run.Artifacts[i] = r.artifact(a)
	}
	for i, release := range run.Releases {
		run.Releases[i] = r.release(release)
	}
	for i, rollout := range run.Rollouts {
		run.Rollouts[i] = r.rollout(rollout)
	}
	for i, p := range run.Published {
		run.Published[i] = r.published(p)
	}
	for i, f := range run.Failures {
		run.Failures[i] = r.failure(f)
	}
	run.Warnings = r.lines(run.Warnings)
	return run
}

// MaskTests returns a copy of what tests said with its secrets hidden, for what
// is written of it besides the report: junit.xml.
func (r *Recorder) MaskTests(t Tests) Tests { return t.Map(r.text) }
