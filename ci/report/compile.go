package report

import (
	"path"
	"regexp"
	"strconv"
	"strings"
)

// SourceRoot is where the stages mount the project in their containers. Absolute
// paths below it are shown relative to the project's root.
const SourceRoot = "/src"

var (
	compileLine   = regexp.MustCompile(`^(?:vet: |go: )?((?:[A-Za-z]:[\\/])?[^\s:"]+\.(?:go|s|c|h|cc|cpp|cxx|m|mod|work)):(\d+)(?::(\d+))?: (.*)$`)
	compileHeader = regexp.MustCompile(`^# (\[?)([^\s\[\]]+)`)
)

// ParseCompile finds the problems in what go build, go vet and tools that print
// the same lines say ("file.go:12:3: message"). Dir is the directory of the
// module, relative to the project's root, slash separated: relative paths count
// from there. Lines that are indented belong to the message above them.
func ParseCompile(output, dir string) []Finding {
	return full(parseCompile(Clean(output), dir))
}

func parseCompile(output, dir string) []Finding {
	var out []Finding
	var open *Finding
	pkg, tool := "", toolBuild
	for line := range strings.SplitSeq(output, "\n") {
		if m := compileHeader.FindStringSubmatch(line); m != nil {
			pkg, tool, open = m[2], toolBuild, nil
			if m[1] != "" {
				tool = toolVet
			}
			continue
		}
		if m := compileLine.FindStringSubmatch(line); m != nil {
			if m[4] == "too many errors" {
				continue
			}
			out = append(out, finding(m, dir, pkg, tool))
			open = &out[len(out)-1]
			continue
		}
		if !strings.HasPrefix(line, "    ") {
			open = nil
		}
		if open != nil {
			open.Message += "\n" + strings.TrimSpace(line)
		}
	}
	return out
}

func finding(m []string, dir, pkg, tool string) Finding {
	line, _ := strconv.Atoi(m[2])
	column, _ := strconv.Atoi(m[3])
	return Finding{File: sourcePath(m[1], dir), Line: line, Column: column, Message: m[4], Tool: tool, Package: pkg}
}

// sourcePath makes a path relative to the project's root, where it can.
func sourcePath(file, dir string) string {
	if rest, ok := strings.CutPrefix(file, SourceRoot+"/"); ok {
		return path.Clean(rest)
	}
	if path.IsAbs(file) || strings.Contains(file, `\`) {
		return file
	}
	return path.Join(dir, file)
}
