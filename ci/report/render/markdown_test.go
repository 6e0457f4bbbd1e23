package render_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extensionast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/report/render"
)

func TestMarkdownGolden(t *testing.T) {
	for name, sc := range map[string]script{"ok": {}, "fail": {fail: true}, "cached": {cached: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				run := sc.play(report.ObserverFunc(func(report.Event) {}))
				run.Warnings = []string{"the cache was reset: it did not open"}
				if !sc.fail {
					coverage := 83.14
					run.Tested = &report.Tested{Passed: 213, Skipped: 1, Coverage: &coverage}
					run.Published = []report.Published{{
						App: "greeter", Repository: "registry.example.org/team/greeter", Digest: "sha256:8c1d00f2a9b3ffff",
						Tags: []string{"1.2.3", "1.2"}, Signed: "the key 12ab",
					}}
					run.Releases = []report.Release{{Tag: "v1.2.3", URL: "https://github.com/team/greeter/releases/tag/v1.2.3", Files: []string{"a", "b"}}}
					run.Rollouts = []report.Rollout{rolledOut()}
					run.Stages = append(run.Stages, report.Stage{Name: report.RolloutStage, Status: report.OK, Started: run.Started.Add(time.Minute), Steps: []report.Step{
						{Name: "start web1 green", Status: report.OK, Started: run.Started.Add(time.Minute), Duration: report.Duration(2 * time.Second)},
						{Name: "gate web1 green", Status: report.OK, Summary: "healthy 3 times", Started: run.Started.Add(62 * time.Second), Duration: report.Duration(3 * time.Second)},
					}})
				}
				var out bytes.Buffer
				require.NoError(t, render.Markdown(&out, run))
				golden(t, "markdown-"+name, out.String())
				tags, _ := inMarkdown(t, out.Bytes())
				assert.NotContains(t, tags, "a link")
			})
		})
	}
}

func TestMarkdownIsNeverTooLargeToBeShown(t *testing.T) {
	var run report.Run
	for range 30 {
		f := report.Failure{Title: "many", Tail: []string{"x"}}
		for range 100 {
			f.Findings = append(f.Findings, report.Finding{File: "a.go", Message: strings.Repeat("*", 3000)})
		}
		run.Failures = append(run.Failures, f)
	}
	var out bytes.Buffer
	require.NoError(t, render.Markdown(&out, run))
	assert.Less(t, out.Len(), 1<<20)
	assert.Contains(t, out.String(), "the rest is in reports/run.json")
}

// rolledOut is a rollout to two targets, one of which cannot be seen any more.
func rolledOut() report.Rollout {
	return report.Rollout{
		Environment: "prod", Service: "greeter-prod", Action: "deploy", Strategy: "canary", Version: "1.2.3", Outcome: "done", Changed: true,
		Targets: []report.RolloutTarget{
			{Name: "web1", Wanted: true, Committed: "1.2.3 (12ab)", Running: []report.RolloutInstance{{Slot: "green", Version: "1.2.3 (12ab)", Health: "healthy", Weight: 100}}},
			{Name: "web2", Unseen: "connection refused"},
		},
	}
}

// ours are the tags that the page itself has.
var ours = []string{"<br>", "<details>", "<summary>", "</summary>", "</details>"}

// hostile puts one text everywhere where a project's texts can get.
func hostile(s string) report.Run {
	finding := report.Finding{File: s, Line: 1, Message: s, Test: s, Package: s, Tool: s}
	started := time.Unix(100, 0)
	return report.Run{
		Verb: s, Project: s, Version: s, VersionWhy: s, Started: started, Warnings: []string{s},
		Inferred: []report.Fact{{What: s, Value: s, Why: s}},
		Failures: []report.Failure{{Stage: s, Step: s, Title: s, Command: []string{s}, Tail: []string{s}, Cause: s, Next: s, Reproduce: s, Findings: []report.Finding{finding}}},
		Stages: []report.Stage{{Name: s, Status: report.Warned, Summary: s, Started: started, Steps: []report.Step{
			{Name: s, App: s, Status: report.Warned, Summary: s, Started: started, Findings: []report.Finding{finding}},
		}}, {Name: report.RolloutStage, Status: report.OK, Steps: []report.Step{{Name: s, Status: report.OK, Summary: s, Started: started}}}},
		Artifacts: []report.Artifact{{Name: s, Path: s, Kind: s, Target: s, Digest: s, Size: 1}},
		Published: []report.Published{{Repository: s, Digest: s, Tags: []string{s}, Signed: s}},
		Releases:  []report.Release{{Tag: s, URL: s}},
		Rollouts: []report.Rollout{{Environment: s, Service: s, Action: s, Strategy: s, Version: s, Outcome: s, Targets: []report.RolloutTarget{
			{Name: s, Committed: s, Running: []report.RolloutInstance{{Version: s, Health: s, Weight: 10}}}, {Name: s, Unseen: s},
		}}},
	}
}

// Whatever a project's texts are, the page is ours: no link, no image, no tag, no heading and no table that we did not write.
func FuzzMarkdown(f *testing.F) {
	for _, s := range []string{
		"", "plain", "[a](https://evil.example)", "![](https://evil.example/x.png)", "<img src=x onerror=alert(1)>", "<https://evil.example>",
		"www.evil.example", "https://evil.example", "mail@evil.example", "a | b | c", "``` \n# heading\n```", "`code`", "a\n\n# heading\n\n- list", "\\", "\\\\[a](b)",
		"</details>", "&lt;b&gt;", "1. one", "- one", "+ one", "[^1]: note", "~~gone~~", "世界 \u2028 x", "|---|", "a\\|b", "`a|b`", "\t\ttab", "```\n````\n~~~",
	} {
		f.Add(s)
	}
	_, shape := inMarkdown(f, markdown(f, hostile("plain")))
	f.Fuzz(func(t *testing.T, s string) {
		s = report.Clean(s) // as the recorder does
		if strings.TrimSpace(s) == "" {
			return
		}
		page := markdown(t, hostile(s))
		tags, got := inMarkdown(t, page)
		for _, tag := range tags {
			assert.Contains(t, ours, tag, "%s", page)
		}
		assert.Equal(t, shape, got, "%s", page)
	})
}

func markdown(t testing.TB, run report.Run) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, render.Markdown(&out, run))
	return out.Bytes()
}

// inMarkdown reads a page as GitHub does, and returns its tags and links, and how many blocks of each kind it has.
func inMarkdown(t testing.TB, source []byte) (tags []string, shape map[string]int) {
	t.Helper()
	shape = map[string]int{}
	root := goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote)).Parser().Parse(text.NewReader(source))
	err := ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.RawHTML:
			tags = append(tags, string(n.Segments.Value(source)))
		case *ast.HTMLBlock:
			for tag := range strings.SplitAfterSeq(string(n.Lines().Value(source)), ">") {
				if tag = strings.TrimSpace(tag[max(0, strings.LastIndexByte(tag, '<')):]); strings.HasPrefix(tag, "<") {
					tags = append(tags, tag)
				}
			}
		case *ast.Link, *ast.AutoLink, *ast.Image, *extensionast.FootnoteLink, *extensionast.Strikethrough:
			tags = append(tags, "a link")
		}
		if n.Type() == ast.TypeBlock && n.Kind() != ast.KindTextBlock {
			shape[n.Kind().String()]++
		}
		return ast.WalkContinue, nil
	})
	require.NoError(t, err)
	slices.Sort(tags)
	return slices.Compact(tags), shape
}
