package render

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/slipway-ci/slipway/ci/report"
)

const digestShown = 12

// Summary writes the end of a run: its stages, its artifacts, a card for each
// failure, and the last line.
func Summary(w io.Writer, run report.Run, opts Options) error {
	t := newTheme(opts)
	_, err := io.WriteString(w, t.ending(run, opts, true))
	return err
}

// ending builds the text of Summary; stages only where they are not on the
// screen already.
func (t theme) ending(run report.Run, opts Options, stages bool) string {
	var b strings.Builder
	if !opts.Quiet {
		var lines []line
		if stages {
			lines = t.stageTable(run, opts.Width)
		}
		if table := t.artifactTable(run.Artifacts, opts); len(table) > 0 {
			lines = append(append(lines, nil), table...)
		}
		if published := publishedLines(run); len(published) > 0 {
			lines = append(append(lines, nil), published...)
		}
		if rollouts := t.rolloutLines(run); len(rollouts) > 0 {
			lines = append(append(lines, nil), rollouts...)
		}
		for _, l := range lines {
			b.WriteString(t.string(l, 0) + "\n")
		}
	}
	for _, f := range run.Failures {
		b.WriteString("\n" + t.card(f, opts))
	}
	if !opts.Quiet || len(run.Failures) > 0 {
		b.WriteString("\n")
	}
	b.WriteString(t.string(t.lastLine(run), 0) + "\n")
	return b.String()
}

func (t theme) stageTable(run report.Run, width int) []line {
	if len(run.Stages) == 0 {
		return nil
	}
	out := []line{nil}
	for _, s := range run.Stages {
		out = append(out, t.stageLine(s, width)...)
	}
	return out
}

// publishedLines are the images that registries have now. References stand alone on their lines, whole, to be copied.
func publishedLines(run report.Run) []line {
	var out []line
	for _, p := range run.Published {
		more := "as " + strings.Join(p.Tags, ", ")
		if p.Signed != "" {
			more += "; signed by " + p.Signed
		}
		out = append(out, line{{"  published", dim}}, line{{"  " + p.Reference(), normal}}, line{{"    " + more, dim}})
	}
	for _, r := range run.Releases {
		out = append(out, line{{"  released", dim}}, line{{"  " + r.URL, normal}}, line{{fmt.Sprintf("    %d files", len(r.Files)), dim}})
	}
	return out
}

// artifactRow is what was made for one target.
type artifactRow struct {
	label, binary, archive, digest string
}

func (t theme) artifactTable(artifacts []report.Artifact, opts Options) []line {
	rows := artifactRows(artifacts)
	if len(rows) == 0 {
		return nil
	}
	rows = append([]artifactRow{{"artifacts", "binary", "archive", "sha256"}}, rows...)
	var w [3]int
	for _, r := range rows {
		w[0], w[1], w[2] = max(w[0], t.width(r.label)), max(w[1], t.width(r.binary)), max(w[2], t.width(r.archive))
	}
	var out []line
	for i, r := range rows {
		s := normal
		if i == 0 {
			s = dim
		}
		text := "  " + t.pad(r.label, w[0]) + "  " + t.padLeft(r.binary, w[1]) + "  " + t.padLeft(r.archive, w[2])
		row := line{{text, s}}
		if opts.Width == 0 || t.width(text)+2+digestShown < opts.Width {
			row = append(row, span{"  " + r.digest, dim})
		}
		out = append(out, row)
	}
	for _, a := range artifacts {
		if opts.Verbose {
			out = append(out, line{{"  " + cmp.Or(a.Path, a.Name), normal}, {"  " + a.Digest, dim}})
		}
	}
	return out
}

// artifactRows puts the binary and the archive of a target on one row. Images
// have a row of their own; checksums and lists have none.
func artifactRows(artifacts []report.Artifact) []artifactRow {
	var rows, images []artifactRow
	apps := map[string]bool{}
	for _, a := range artifacts {
		if a.Kind == report.KindBinary {
			apps[a.Name] = true
		}
	}
	taken := map[int]bool{}
	for _, a := range artifacts {
		switch a.Kind {
		case report.KindBinary:
			row := artifactRow{label: a.Target, binary: size(a.Size), digest: shortDigest(a.Digest)}
			if len(apps) > 1 {
				row.label = a.Name + " " + a.Target
			}
			if i := archiveOf(artifacts, a, taken); i >= 0 {
				taken[i] = true
				row.archive, row.digest = size(artifacts[i].Size), shortDigest(artifacts[i].Digest)
			}
			rows = append(rows, row)
		case report.KindImage:
			images = append(images, artifactRow{label: "image " + a.Name, archive: size(a.Size), digest: shortDigest(a.Digest)})
		}
	}
	for i, a := range artifacts {
		if a.Kind == report.KindArchive && !taken[i] {
			rows = append(rows, artifactRow{label: a.Name, archive: size(a.Size), digest: shortDigest(a.Digest)})
		}
	}
	return append(rows, images...)
}

// archiveOf finds the archive of a binary: the first of its target that nobody
// took, and one with the app's name rather than another.
func archiveOf(artifacts []report.Artifact, binary report.Artifact, taken map[int]bool) int {
	found := -1
	for i, a := range artifacts {
		if a.Kind != report.KindArchive || a.Target != binary.Target || taken[i] {
			continue
		}
		if strings.HasPrefix(a.Name, strings.TrimSuffix(binary.Name, ".exe")+"_") {
			return i
		}
		if found < 0 {
			found = i
		}
	}
	return found
}

// LastLine returns the last line of a run: how it ended, in one sentence, with
// the exit code. A script that lost the code can read it there.
func LastLine(run report.Run) string { return lastLineText(run, " · ") }

func (t theme) lastLine(run report.Run) line {
	s := alarm
	if run.ExitCode == 0 {
		s = green
	}
	rest, _ := strings.CutPrefix(lastLineText(run, t.dot), "slipway: ")
	word := rest
	if i := strings.IndexAny(rest, " :"); i > 0 {
		word = rest[:i]
	}
	return line{{"slipway: ", bold}, {word, s}, {strings.TrimPrefix(rest, word), normal}}
}

func lastLineText(run report.Run, dot string) string {
	if run.ExitCode != 0 {
		return fmt.Sprintf("slipway: %s%s (exit %d)", Meaning(run.ExitCode), firstFailure(run.Failures), run.ExitCode)
	}
	parts := []string{"ok in " + duration(run.Duration.Std())}
	if made := made(run.Artifacts); made != "" {
		parts = append(parts, made)
	}
	if n := warnings(run); n > 0 {
		parts = append(parts, count(n, "warning", "warnings"))
	}
	if len(run.Artifacts) > 0 && run.Dist != "" {
		parts = append(parts, strings.TrimSuffix(run.Dist, "/")+"/")
	}
	return fmt.Sprintf("slipway: %s (exit 0)", strings.Join(parts, dot))
}

// Meaning returns what an exit code of the command says.
func Meaning(exitCode int) string {
	switch exitCode {
	case 0:
		return "ok"
	case 1:
		return "failed"
	case 2:
		return "usage or configuration"
	case 3:
		return "no engine, or this machine lacks something"
	case 4:
		return "rollout failed, everything is back as it was"
	case 5:
		return "a person is needed"
	case 130:
		return "interrupted, left safe"
	}
	return "failed"
}

func firstFailure(failures []report.Failure) string {
	if len(failures) == 0 {
		return ""
	}
	text := failures[0].Title
	if text == "" {
		text = failures[0].Step
	}
	if stage := failures[0].Stage; stage != "" {
		text = strings.TrimSuffix(stage+": "+text, ": ")
	}
	if n := len(failures) - 1; n > 0 {
		text += fmt.Sprintf(", and %d more", n)
	}
	return ": " + text
}

func made(artifacts []report.Artifact) string {
	n := map[string]int{}
	for _, a := range artifacts {
		n[a.Kind]++
	}
	var parts []string
	if n[report.KindBinary] > 0 {
		parts = append(parts, count(n[report.KindBinary], "binary", "binaries"))
	}
	if n[report.KindImage] > 0 {
		parts = append(parts, count(n[report.KindImage], "image", "images"))
	}
	return strings.Join(parts, ", ")
}

func warnings(run report.Run) int {
	n := len(run.Warnings)
	for _, s := range run.Stages {
		for _, step := range s.Steps {
			if step.Status == report.Warned {
				n++
			}
		}
	}
	return n
}
