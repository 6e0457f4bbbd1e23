package pipelines

import (
	"path"
	"strconv"
	"strings"

	"dagger.io/dagger"

	"github.com/slipway-ci/slipway/ci/report"
)

// coveragePage is a profile as a web page, made by go tool cover; nil without a profile.
func (s Stages) coveragePage(profile string) *dagger.File {
	if profile == "" {
		return nil
	}
	dirs := report.Dirs{}
	for _, m := range s.Project.Modules {
		dirs[m.Path] = m.Dir
	}
	return s.buildRoot().
		WithMountedDirectory(sourceDir, s.made.source()).
		WithNewFile(requestDir+"/coverage.out", byPath(profile, dirs)).
		WithExec([]string{"go", "tool", "cover", "-html=" + requestDir + "/coverage.out", "-o", outDir + "/coverage.html"}).
		File(outDir + "/coverage.html")
}

// byPath names the files of a profile by their path instead of by import path, so that one page can show several modules.
func byPath(profile string, dirs report.Dirs) string {
	lines := strings.Split(profile, "\n")
	for i, line := range lines {
		colon := strings.LastIndexByte(line, ':')
		if colon < 0 || strings.HasPrefix(line, "mode:") {
			continue
		}
		if dir, ok := dirs.Dir(path.Dir(line[:colon])); ok {
			lines[i] = path.Join(sourceDir, dir, path.Base(line[:colon])) + line[colon:]
		}
	}
	return strings.Join(lines, "\n")
}

// joinProfiles makes one coverage profile of several: they share the mode line.
func joinProfiles(profiles []string) string {
	var joined strings.Builder
	for i, profile := range profiles {
		head, body, _ := strings.Cut(profile, "\n")
		if i == 0 {
			joined.WriteString(head + "\n")
		}
		joined.WriteString(body)
	}
	return joined.String()
}

// coverage is the share of covered statements of a profile, in percent; negative when it holds none. A block that several
// test binaries report is covered when one of them ran it.
//
// The form of a line: name.go:line.column,line.column numberOfStatements count (go doc golang.org/x/tools/cover).
func coverage(profile string) float64 {
	type block struct {
		statements int
		covered    bool
	}
	blocks := map[string]block{}
	for _, line := range strings.Split(profile, "\n") {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		statements, err1 := strconv.Atoi(fields[1])
		count, err2 := strconv.ParseUint(fields[2], 10, 64)
		if err1 != nil || err2 != nil {
			continue
		}
		b := blocks[fields[0]]
		blocks[fields[0]] = block{statements, b.covered || count > 0}
	}
	var all, covered int
	for _, b := range blocks {
		all += b.statements
		if b.covered {
			covered += b.statements
		}
	}
	if all == 0 {
		return -1
	}
	return 100 * float64(covered) / float64(all)
}
