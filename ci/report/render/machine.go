package render

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/report"
)

// JSON writes a run as dist/reports/run.json holds it. A log of GitHub Actions can show it: the mark that makes a command of
// any line there is written as an escape. It can only be inside of a string.
func JSON(w io.Writer, run report.Run) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(run)
	if err == nil {
		_, err = w.Write(bytes.ReplaceAll(b.Bytes(), []byte("##["), []byte(`##\u005b`)))
	}
	if err != nil {
		return fmt.Errorf("write run: %w", err)
	}
	return nil
}

type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		junitCounts
		Suites []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name string `xml:"name,attr"`
		junitCounts
		Cases []junitCase `xml:"testcase"`
	}
	junitCounts struct {
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Time     string `xml:"time,attr"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		File    string        `xml:"file,attr,omitempty"`
		Line    int           `xml:"line,attr,omitempty"`
		Time    string        `xml:"time,attr"`
		Failure *junitProblem `xml:"failure,omitempty"`
		Error   *junitProblem `xml:"error,omitempty"`
		Skipped *junitProblem `xml:"skipped,omitempty"`
		Flaky   *junitProblem `xml:"flakyFailure,omitempty"` // as Maven's Surefire has it
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes tests in the XML that CI systems read. A test with subtests stands
// there through them; a package that failed outside of its tests has a case of
// its own with an error.
func JUnit(w io.Writer, tests report.Tests) error {
	doc := junitSuites{}
	total := time.Duration(0)
	for _, s := range tests.Suites {
		suite := newJUnitSuite(s)
		doc.add(suite.junitCounts)
		total += s.Duration.Std()
		doc.Suites = append(doc.Suites, suite)
	}
	doc.Time = junitTime(total)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func newJUnitSuite(s report.Suite) junitSuite {
	suite := junitSuite{Name: s.Package}
	if len(s.Findings) > 0 {
		suite.Cases = append(suite.Cases, junitCase{
			Class: s.Package, Name: "(package)", File: s.Findings[0].File, Line: s.Findings[0].Line, Time: junitTime(0),
			Error: problem(s.Findings, s.Output),
		})
	}
	for _, c := range s.Cases {
		if c.Parent && len(c.Findings) == 0 {
			continue
		}
		suite.Cases = append(suite.Cases, newJUnitCase(s, c))
	}
	for _, c := range suite.Cases {
		suite.add(c.counts())
	}
	suite.Time = junitTime(s.Duration.Std())
	return suite
}

func newJUnitCase(s report.Suite, c report.Case) junitCase {
	out := junitCase{Class: s.Package, Name: c.Name, Time: junitTime(c.Duration.Std())}
	if c.Flaky > 0 {
		out.Flaky = problem(c.Findings, c.Output)
	}
	switch c.Status {
	case report.Failed:
		out.Failure = problem(c.Findings, c.Output)
		if len(c.Findings) > 0 {
			f := decisive(c.Findings)
			out.File, out.Line = f.File, f.Line
		}
	case report.Skipped:
		out.Skipped = &junitProblem{Message: strings.TrimSpace(c.Output)}
	case report.Canceled:
		out.Skipped = &junitProblem{Message: "canceled: another test ended the process"}
	}
	return out
}

func problem(findings []report.Finding, output string) *junitProblem {
	p := &junitProblem{Message: "failed", Text: output}
	if len(findings) > 0 {
		f := decisive(findings)
		p.Message, p.Type = firstLine(f.Message), f.Tool
	}
	return p
}

// decisive returns the finding that says most: the last, because a test logs
// before it fails, unless the first is of another kind: a crash, a race.
func decisive(findings []report.Finding) report.Finding {
	first, last := findings[0], findings[len(findings)-1]
	if first.Tool != last.Tool || first.Test == "" {
		return first
	}
	return last
}

func (c junitCase) counts() junitCounts {
	n := junitCounts{Tests: 1}
	switch {
	case c.Failure != nil:
		n.Failures = 1
	case c.Error != nil:
		n.Errors = 1
	case c.Skipped != nil:
		n.Skipped = 1
	}
	return n
}

func (c *junitCounts) add(n junitCounts) {
	c.Tests += n.Tests
	c.Failures += n.Failures
	c.Errors += n.Errors
	c.Skipped += n.Skipped
}

func junitTime(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
