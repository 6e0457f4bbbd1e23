package changelog

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

// commits are messages as commits, with hashes that tell them apart.
func commits(messages ...string) []Commit {
	list := make([]Commit, len(messages))
	for i, m := range messages {
		list[i] = Commit{Hash: hash(i), Message: m}
	}
	return list
}

func hash(i int) string { return fmt.Sprintf("%x%038x", i+0xa0, 0) }

func TestParse(t *testing.T) {
	for message, want := range map[string]Entry{
		"feat: greet in German":                    {Group: Features, Type: "feat", Summary: "greet in German"},
		"feat(api): greet in German\n":             {Group: Features, Type: "feat", Scope: "api", Summary: "greet in German"},
		"Fix(api): no panic":                       {Group: Fixes, Type: "fix", Scope: "api", Summary: "no panic"},
		"fix!: no panic":                           {Group: Breaking, Type: "fix", Summary: "no panic"},
		"feat(api)!: v2\n\nBREAKING CHANGE: all":   {Group: Breaking, Type: "feat", Scope: "api", Summary: "v2", Breaking: "all"},
		"chore: x\n\nBREAKING-CHANGE: a\nb\n\nc":   {Group: Breaking, Type: "chore", Summary: "x", Breaking: "a b"},
		"chore: x\n\nBREAKING CHANGE: a\nRefs: #1": {Group: Breaking, Type: "chore", Summary: "x", Breaking: "a"},
		"docs:  two  spaces ":                      {Group: Documents, Type: "docs", Summary: "two spaces"},
		"perf: faster":                             {Group: Performance, Type: "perf", Summary: "faster"},
		"revert: feat: x":                          {Group: Reverts, Type: "revert", Summary: "feat: x"},
		"Revert \"feat: x\"\n\nThis reverts":       {Group: Reverts, Summary: `Revert "feat: x"`},
		"refactor(x): y":                           {Group: Others, Type: "refactor", Scope: "x", Summary: "y"},
		"Note: this is a sentence":                 {Group: Others, Summary: "Note: this is a sentence"},
		"ci/oci: one area":                         {Group: Others, Summary: "ci/oci: one area"},
		"feat:no space":                            {Group: Others, Summary: "feat:no space"},
		"feat(a(b)): x":                            {Group: Others, Summary: "feat(a(b)): x"},
		"feat: ":                                   {Group: Others, Summary: "feat:"},
		"Note!: it breaks":                         {Group: Breaking, Summary: "Note!: it breaks"},
		"feat(): x":                                {Group: Features, Type: "feat", Summary: "x"},
		"":                                         {Group: Others, Summary: "(no message)"},
		"fix: a\tb\x1b[31m\u2028c":                 {Group: Fixes, Type: "fix", Summary: "a b [31m c"},
		"fix: \xff":                                {Group: Fixes, Type: "fix", Summary: "\ufffd"},
	} {
		assert.Equal(t, want, Parse(Commit{Message: message}), "%q", message)
	}
	long := Parse(Commit{Message: "feat: " + strings.Repeat("é", 300)})
	assert.Equal(t, strings.Repeat("é", maxSummary-1)+"…", long.Summary)
}

func TestRevertedCommitsAreLeftOut(t *testing.T) {
	revert := func(of int) string {
		return fmt.Sprintf("Revert \"x\"\n\nThis reverts commit %s.", hash(of))
	}
	summaries := func(messages ...string) []string {
		var all []string
		for _, e := range Entries(commits(messages...)) {
			all = append(all, e.Summary)
		}
		return all
	}
	assert.Equal(t, []string{"feat a"}, summaries("feat a", revert(2), "feat b"))
	assert.Equal(t, []string{"feat b"}, summaries(revert(1), revert(2), "feat b"), "a revert that was reverted")
	assert.Equal(t, []string{`Revert "x"`, "feat a"}, summaries(revert(9), "feat a"), "of an earlier version")
	assert.Equal(t, []string{`Revert "x"`}, summaries("Revert \"x\"\n\nThis reverts commit abc, because"), "no commit")
}

// A change that says everything at once.
func example() Changelog {
	return Changelog{
		Version: "2.0.0", Date: time.Date(2026, 2, 3, 23, 30, 0, 0, time.FixedZone("", 3600)), Since: "v1.9_0",
		Entries: Entries(commits(
			"docs: say `*how*` and _why_",
			"feat(api)!: names are objects\n\nBREAKING CHANGE: `name` is {first, last}\nnow.\n",
			"fix(cli): [click](javascript:alert(1)) <img src=x> & *more*",
			"feat: greet #12, thanks @ada",
			"an odd ` backtick <b>",
			"two ``<b>`` and ` <a> `` <i> ``` x",
			"perf: half the time", "revert: feat: shout", "test: hold it", `back\slash ~~gone~~`,
		)),
		Notes: []string{"These are the last 9 commits; older ones are not listed."},
	}
}

func TestMarkdown(t *testing.T) {
	golden(t, "everything.md", example().Markdown())
	golden(t, "nothing.md", Changelog{Version: "1.2.3"}.Markdown())
}

func FuzzMarkdown(f *testing.F) {
	for _, e := range example().Entries {
		f.Add(e.Summary, e.Breaking)
	}
	f.Add("feat(\n): x", "BREAKING CHANGE: \n\n# x")
	f.Add("``` <script>", "` `` `<b>")
	f.Fuzz(func(t *testing.T, subject, body string) {
		c := Commit{Hash: hash(0), Message: subject + "\n\n" + body}
		entry := Parse(c)
		assert.Contains(t, Groups(), entry.Group)
		assert.NotEmpty(t, entry.Summary)
		lines := 2 // the heading of the group and the empty line after it come on top
		if entry.Breaking != "" {
			lines++
		}
		text := Changelog{Version: "1.2.3", Entries: []Entry{entry}}.Markdown()
		assert.Equal(t, lines+4, strings.Count(text, "\n")+1, "%q adds a line", text)
		assert.NotRegexp(t, "<", withoutCode(text), "markup outside of code")
	})
}

// withoutCode removes code spans as CommonMark finds them: a run of backticks up to the next run of the same length.
func withoutCode(text string) string {
	var b strings.Builder
	for text != "" {
		if text[0] == '\\' && len(text) > 1 {
			text = text[2:]
			continue
		}
		if text[0] != '`' {
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		rest := strings.TrimLeft(text, "`")
		run := text[:len(text)-len(rest)]
		text = afterRun(rest, len(run))
	}
	return b.String()
}

func afterRun(text string, length int) string {
	for rest := text; ; {
		at := strings.IndexByte(rest, '`')
		if at < 0 {
			return text // no end: the run is text
		}
		rest = rest[at:]
		after := strings.TrimLeft(rest, "`")
		if len(rest)-len(after) == length {
			return after
		}
		rest = after
	}
}
