package forge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/report/render"
)

// Files below the output directory's reports, beside junit.xml, for CI systems that read files.
const (
	outputsFile     = "outputs.env"
	codeQualityFile = "codequality.json"
	reportsDir      = "reports"
)

// GitLab is GitLab CI. Make one with NewGitLab. It reads its reports from files: dist/reports has junit.xml, codequality.json
// (the annotations) and outputs.env (variables for other jobs, SLIPWAY_VERSION and the like).
type GitLab struct {
	options Options
	now     func() time.Time
	folds   *int
}

// NewGitLab returns GitLab CI as this process sees it.
func NewGitLab(o Options) *GitLab {
	return &GitLab{options: o, now: time.Now, folds: new(int)}
}

// Log is where texts for people go.
func (g *GitLab) Log() io.Writer { return g.options.Log }

// Fold hides lines of the log behind a title.
func (g *GitLab) Fold() render.Fold { return section{g} }

type section struct{ *GitLab }

// A section begins and ends with a mark that a terminal wipes away. Its name must be there once.
func (s section) Open(title string) {
	*s.folds++
	fmt.Fprintf(s.options.Log, "\x1b[0Ksection_start:%d:slipway_%d[collapsed=true]\r\x1b[0K%s\n", s.now().Unix(), *s.folds, title)
}

func (s section) Close() {
	fmt.Fprintf(s.options.Log, "\x1b[0Ksection_end:%d:slipway_%d\r\x1b[0K", s.now().Unix(), *s.folds)
}

// Observe waits for the end of the run. It writes the reports that only GitLab reads, and the line in which it looks for the
// coverage, before the last lines of the log. The job says how it looks:
//
//	coverage: '/^coverage: \d+\.\d+% of statements$/'
func (g *GitLab) Observe(e report.Event) {
	finished, ok := e.(report.RunFinished)
	if !ok {
		return
	}
	if t := finished.Run.Tested; t != nil && t.Coverage != nil {
		fmt.Fprintf(g.options.Log, "coverage: %.1f%% of statements\n", *t.Coverage)
	}
	source, dist := g.options.Dirs()
	complain(g.options.Log, reports(finished.Run, dist, places{g.options.Getenv("CI_PROJECT_DIR"), source}))
}

// Hide does nothing: GitLab hides the variables that are masked in its settings, and takes no others.
func (g *GitLab) Hide([]string) {}

// reports are written beside those of the run. A run that left none has none of them.
func reports(run report.Run, dist string, where places) error {
	quality, err := json.MarshalIndent(codeQuality(run, where), "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", codeQualityFile, err)
	}
	return errors.Join(writeReport(dist, codeQualityFile, append(quality, '\n')), writeVariables(run, dist))
}

// remark is an annotation as GitLab's code quality reports have it.
type remark struct {
	Description string `json:"description"`
	Check       string `json:"check_name"`
	Fingerprint string `json:"fingerprint"`
	Severity    string `json:"severity"`
	Location    struct {
		Path  string `json:"path"`
		Lines struct {
			Begin int `json:"begin"`
		} `json:"lines"`
	} `json:"location"`
}

// codeQuality are the annotations that have a place: GitLab takes no others.
func codeQuality(run report.Run, where places) []remark {
	remarks := []remark{}
	for _, a := range Annotations(run) {
		file, ok := where.of(a.File)
		if !ok {
			continue
		}
		r := remark{Description: a.Message, Check: a.Title, Severity: "major"}
		if a.Level == Warning {
			r.Severity = "minor"
		}
		r.Location.Path, r.Location.Lines.Begin = file, max(1, a.Line)
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s\x00%s", file, a.Line, a.Title, a.Message))
		r.Fingerprint = hex.EncodeToString(sum[:16])
		remarks = append(remarks, r)
	}
	return remarks
}

func writeVariables(run report.Run, dist string) error {
	return writeReport(dist, outputsFile, []byte(asVariables(Outputs(run, dist))))
}

// asVariables are outputs as lines NAME=VALUE. There is no way to write a line break there, so a value with one is left out.
func asVariables(outputs []Output) string {
	var b strings.Builder
	for _, o := range outputs {
		if strings.ContainsFunc(o.Value, func(r rune) bool { return r < ' ' }) {
			continue
		}
		fmt.Fprintf(&b, "SLIPWAY_%s=%s\n", strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_")), o.Value)
	}
	return b.String()
}

// writeReport replaces a file below reports, complete or not at all.
func writeReport(dist, name string, content []byte) error {
	dir := filepath.Join(dist, reportsDir)
	if _, err := os.Stat(dir); err != nil {
		return nil // this run got as far as no report
	}
	path := filepath.Join(dir, name)
	err := os.WriteFile(path+".new", content, 0o644)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
