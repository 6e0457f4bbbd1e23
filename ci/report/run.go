package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Schema is the version of the JSON form of a Run. A field may be added within
// a version; one that is renamed, removed or changed in meaning makes a new one.
const Schema = 1

// Status says how a step or a stage ended.
type Status string

// The ways a step or a stage can end. Running is one that has not ended: only a
// snapshot and an event can show it.
const (
	Running    Status = "running"
	OK         Status = "ok"
	Cached     Status = "cached"
	Failed     Status = "failed"
	Warned     Status = "warned"
	Skipped    Status = "skipped"
	NotChecked Status = "not checked"
	Canceled   Status = "canceled"
)

// Kinds of artifacts.
const (
	KindBinary    = "binary"
	KindArchive   = "archive"
	KindImage     = "image"
	KindPackage   = "package"
	KindSBOM      = "sbom"
	KindChangelog = "changelog"
	KindChecksums = "checksums"
)

// Duration is a time.Duration that is written as whole milliseconds in JSON.
type Duration time.Duration

// Std returns the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns the duration as time.Duration prints it.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes whole milliseconds, rounded to the nearest.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).Round(time.Millisecond).Milliseconds())
}

// UnmarshalJSON reads whole milliseconds.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var ms int64
	if err := json.Unmarshal(data, &ms); err != nil {
		return fmt.Errorf("read duration: %w", err)
	}
	*d = Duration(time.Duration(ms) * time.Millisecond)
	return nil
}

// Run is the outcome of one run of the command: the content of
// dist/reports/run.json. Its slices are never null in JSON.
type Run struct {
	Schema     int         `json:"schema"`
	Slipway    string      `json:"slipway"` // version of the program
	Project    string      `json:"project"`
	Version    string      `json:"version"`
	VersionWhy string      `json:"version_why"`
	Commit     string      `json:"commit"`
	Dirty      bool        `json:"dirty"`
	Verb       string      `json:"verb"`
	Dist       string      `json:"dist"` // as the user named it
	Started    time.Time   `json:"started"`
	Duration   Duration    `json:"duration_ms"`
	Engine     Engine      `json:"engine"`
	Parallel   Parallel    `json:"parallel"`
	Inferred   []Fact      `json:"inferred"`
	Stages     []Stage     `json:"stages"`
	Artifacts  []Artifact  `json:"artifacts"`
	Published  []Published `json:"published"`
	Releases   []Release   `json:"releases"`
	Rollouts   []Rollout   `json:"rollouts"`
	Tested     *Tested     `json:"tested,omitempty"` // not there: no test ran
	ExitCode   int         `json:"exit_code"`
	Failures   []Failure   `json:"failures"`
	Warnings   []string    `json:"warnings"`
}

// Engine says which engine ran the stages, and why that one.
type Engine struct {
	Kind    string `json:"kind"`
	Address string `json:"address"`
	Version string `json:"version"`
	Reason  string `json:"reason"`
}

// Parallel says how many jobs ran at once, and why that many.
type Parallel struct {
	Cores     int    `json:"cores"`
	MemoryMiB int    `json:"memory_mib"`
	Jobs      int    `json:"jobs"`
	Why       string `json:"why"`
}

// Fact is a value that was inferred, with its reason.
type Fact struct {
	What  string `json:"what"`
	Value string `json:"value"`
	Why   string `json:"why"`
}

// Stage is one part of a run: verify, build, package, image, smoke.
type Stage struct {
	Name     string    `json:"name"`
	Status   Status    `json:"status"`
	Started  time.Time `json:"started"`
	Duration Duration  `json:"duration_ms"`
	Steps    []Step    `json:"steps"`
	Summary  string    `json:"summary"` // "214 tests, 83.1 % covered"
}

// Step is one piece of work of a stage: a target, a tool, a platform.
type Step struct {
	Name     string    `json:"name"` // "linux/amd64", "vet"
	App      string    `json:"app"`
	Status   Status    `json:"status"`
	Started  time.Time `json:"started"`
	Duration Duration  `json:"duration_ms"`
	Saved    Duration  `json:"saved_ms"` // what a cached result took when it really ran
	Summary  string    `json:"summary"`
	Findings []Finding `json:"findings"`
}

// Title returns the step's name with its app in front, where it has one.
func (s Step) Title() string {
	if s.App == "" {
		return s.Name
	}
	return s.App + " " + s.Name
}

// Finding is one problem at one place. File is relative to the project's root
// wherever that is known.
type Finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Tool    string `json:"tool"`
	Test    string `json:"test"`
	Package string `json:"package"`
}

// Place returns "file:line:column" as far as it is known, or "".
func (f Finding) Place() string {
	switch {
	case f.File == "" || f.Line == 0:
		return f.File
	case f.Column == 0:
		return fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
}

// Failure is what a failure card shows. Title is lower case and complete without
// the stage: "2 tests failed". Cause is empty unless it is known.
type Failure struct {
	Stage     string    `json:"stage"`
	Step      string    `json:"step"`
	Title     string    `json:"title"`
	Command   []string  `json:"command"`
	Findings  []Finding `json:"findings"`
	Tail      []string  `json:"tail"`
	Cause     string    `json:"cause"`
	Next      string    `json:"next"`
	Reproduce string    `json:"reproduce"`
	ExitCode  int       `json:"exit_code"` // of the command that failed
}

// Artifact is one file or image that the run made.
type Artifact struct {
	Name   string `json:"name"`
	Path   string `json:"path"`
	Kind   string `json:"kind"`
	Target string `json:"target"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// Published is an image that a registry has now, with its tags set.
type Published struct {
	App        string     `json:"app"`
	Repository string     `json:"repository"`
	Digest     string     `json:"digest"`
	Tags       []string   `json:"tags"`
	Attached   []Attached `json:"attached"`
	Signed     string     `json:"signed"` // by what; "" when it is not signed
	Sent       int64      `json:"sent_bytes"`
}

// Reference names the image by its digest, as every tool takes it.
func (p Published) Reference() string { return p.Repository + "@" + p.Digest }

// Release is one on a forge, with its files.
type Release struct {
	Tag   string   `json:"tag"`
	URL   string   `json:"url"`
	Files []string `json:"files"`
	Sent  []string `json:"sent"` // by this run
}

// Tested is what the tests came to.
type Tested struct {
	Passed   int      `json:"passed"`
	Failed   int      `json:"failed"`
	Skipped  int      `json:"skipped"`
	Coverage *float64 `json:"coverage,omitempty"` // percent of statements; not there: not measured
}

// Attached is something about an image that the registry lists with it.
type Attached struct {
	Type   string `json:"type"`
	Digest string `json:"digest"`
}

// MarshalJSON writes the run with its schema and with empty lists in place of
// null.
func (r Run) MarshalJSON() ([]byte, error) {
	type plain Run
	c := r.clone()
	c.Schema = Schema
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // whoever marshals the run decides
	if err := enc.Encode(plain(c)); err != nil {
		return nil, fmt.Errorf("write run: %w", err)
	}
	return b.Bytes(), nil
}

// clone returns a deep copy in which no slice is nil.
func (r Run) clone() Run {
	r.Inferred = full(r.Inferred)
	r.Artifacts = full(r.Artifacts)
	r.Releases = full(r.Releases)
	for i, release := range r.Releases {
		r.Releases[i].Files, r.Releases[i].Sent = full(release.Files), full(release.Sent)
	}
	r.Rollouts = full(r.Rollouts)
	for i, rollout := range r.Rollouts {
		r.Rollouts[i] = rollout.clone()
	}
	r.Published = full(r.Published)
	for i, p := range r.Published {
		r.Published[i].Tags, r.Published[i].Attached = full(p.Tags), full(p.Attached)
	}
	r.Warnings = full(r.Warnings)
	r.Stages = full(r.Stages)
	for i, s := range r.Stages {
		r.Stages[i] = s.clone()
	}
	r.Failures = full(r.Failures)
	for i, f := range r.Failures {
		r.Failures[i] = f.clone()
	}
	return r
}

func (s Stage) clone() Stage {
	s.Steps = full(s.Steps)
	for i, step := range s.Steps {
		s.Steps[i] = step.clone()
	}
	return s
}

func (s Step) clone() Step {
	s.Findings = full(s.Findings)
	return s
}

func (f Failure) clone() Failure {
	f.Command, f.Findings, f.Tail = full(f.Command), full(f.Findings), full(f.Tail)
	return f
}

// full returns a copy of s that is not nil.
func full[T any](s []T) []T {
	if len(s) == 0 {
		return []T{}
	}
	return slices.Clone(s)
}

// derive returns the status of a stage from those of its steps.
func derive(steps []Step) Status {
	count := map[Status]int{}
	for _, s := range steps {
		count[s.Status]++
	}
	for _, s := range []Status{Failed, Canceled, Warned} {
		if count[s] > 0 {
			return s
		}
	}
	if count[OK] > 0 || len(steps) == 0 {
		return OK
	}
	for _, s := range []Status{Cached, NotChecked} {
		if count[s] > 0 {
			return s
		}
	}
	return Skipped
}
