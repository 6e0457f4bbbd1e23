package report

import (
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
)

var (
	logLine   = regexp.MustCompile(`^    ([^\s:/\\]+\.go):(\d+): ?(.*)$`)
	crashLine = regexp.MustCompile(`^(?:panic: |fatal error: |SIG[A-Z]+: )`)
	frameLine = regexp.MustCompile(`^ +(\S.*\.(?:go|s|c|cc|cpp|h)):(\d+)(?: \+0x[0-9a-f]+)?$`)
	raceLine  = regexp.MustCompile(`^ *(Previous )?(?:atomic )?([Rr]ead|[Ww]rite) at 0x`)
)

// logs returns what a failed test said with t.Error, t.Fatal and t.Log, which the
// output does not tell apart: the last few, because a failure ends a test.
func (p *goTest) logs(pkg, test, printed string) []Finding {
	var out []Finding
	var open *Finding
	for line := range strings.SplitSeq(printed, "\n") {
		if m := logLine.FindStringSubmatch(line); m != nil {
			if m[1] == "testing.go" {
				open = nil
				continue
			}
			n, _ := strconv.Atoi(m[2])
			out = append(out, Finding{File: p.dirs.file(pkg, m[1]), Line: n, Message: m[3], Tool: toolTest, Test: test, Package: pkg})
			open = &out[len(out)-1]
			continue
		}
		if !strings.HasPrefix(line, "        ") {
			open = nil
		}
		if open != nil {
			open.Message += "\n" + strings.TrimPrefix(line, "        ")
		}
	}
	out = out[max(0, len(out)-maxLogsOfCase):]
	for i := range out {
		out[i].Message = message(out[i].Message)
	}
	return out
}

// message shortens what testify says to the error itself.
func message(text string) string {
	if !strings.Contains(text, "Error Trace:") {
		return strings.TrimSpace(text)
	}
	var out []string
	keep := false
	for line := range strings.SplitSeq(text, "\n") {
		label, rest, found := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case found && (label == "Error" || label == "Messages"):
			keep = true
			line = rest
		case found && (label == "Error Trace" || label == "Test"):
			keep = false
		case strings.TrimSpace(line) == "Diff":
			return strings.Join(out, "\n")
		}
		if line = strings.TrimSpace(line); keep && line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// crashes returns the panics, fatal errors and data races in an output.
func (p *goTest) crashes(pkg, test, printed string) []Finding {
	var out []Finding
	lines := strings.Split(printed, "\n")
	for i, line := range lines {
		var f Finding
		switch {
		case strings.TrimSpace(line) == "WARNING: DATA RACE":
			f = p.race(lines[i+1:])
		case crashLine.MatchString(line) && !crashed(out):
			f = p.crash(line, lines[i+1:])
		default:
			continue
		}
		f.Package = pkg
		if f.Test == "" {
			f.Test = test
		}
		out = append(out, f)
	}
	return out
}

// crashed reports whether a crash was found already: a second one in the same
// output is the first, panicked again.
func crashed(findings []Finding) bool {
	for _, f := range findings {
		if f.Tool == toolPanic {
			return true
		}
	}
	return false
}

func (p *goTest) crash(first string, rest []string) Finding {
	f := Finding{Tool: toolPanic, Message: strings.TrimSpace(first)}
	for _, suffix := range []string{" [recovered, repanicked]", " [recovered]"} {
		f.Message = strings.TrimSuffix(f.Message, suffix)
	}
	for i, line := range rest {
		if strings.TrimSpace(line) == "running tests:" && i+1 < len(rest) {
			f.Test, _, _ = strings.Cut(strings.TrimSpace(rest[i+1]), " (")
		}
		if frame, ok := p.userFrame(rest, i); ok {
			f.File, f.Line = frame.File, frame.Line
			return f
		}
	}
	return f
}

// race reads one report of the race detector, which ends with a line of "=".
func (p *goTest) race(lines []string) Finding {
	var places []string
	f := Finding{Tool: toolRace}
	kind := ""
	for i, line := range lines {
		if strings.HasPrefix(line, "==================") || strings.HasPrefix(strings.TrimSpace(line), "Goroutine ") {
			break
		}
		if m := raceLine.FindStringSubmatch(line); m != nil {
			kind = strings.ToLower(m[2])
		}
		frame, ok := p.userFrame(lines, i)
		if !ok || kind == "" {
			continue
		}
		if f.File == "" {
			f.File, f.Line = frame.File, frame.Line
		}
		places, kind = append(places, kind+" at "+frame.Place()), ""
	}
	f.Message = "data race: " + strings.Join(places, ", ")
	if len(places) == 0 {
		f.Message = "data race"
	}
	return f
}

// userFrame returns the place of a stack frame, if line i names a function of the
// user's and the next line its place.
func (p *goTest) userFrame(lines []string, i int) (Finding, bool) {
	if i+1 >= len(lines) {
		return Finding{}, false
	}
	function := strings.TrimSpace(lines[i])
	m := frameLine.FindStringSubmatch(lines[i+1])
	if m == nil || strings.HasPrefix(function, "created by ") {
		return Finding{}, false
	}
	file, ok := p.userFile(packageOf(function), m[1])
	if !ok {
		return Finding{}, false
	}
	n, _ := strconv.Atoi(m[2])
	return Finding{File: file, Line: n}, true
}

// userFile tells the user's code from the standard library and from modules that
// were downloaded. Without directories to go by, it looks at the path.
func (p *goTest) userFile(pkg, file string) (string, bool) {
	if strings.Contains(file, "/pkg/mod/") || strings.HasPrefix(file, "_") || pkg == "" {
		return "", false
	}
	if _, known := p.dirs.Dir(pkg); known {
		return p.dirs.file(pkg, file), true
	}
	if test := strings.TrimSuffix(pkg, "_test"); test != pkg {
		if _, known := p.dirs.Dir(test); known {
			return p.dirs.file(test, file), true
		}
	}
	domain, _, _ := strings.Cut(pkg, "/")
	return file, len(p.dirs) == 0 && strings.Contains(domain, ".")
}

// packageOf returns the import path of a function as a stack trace names it:
// "example.com/x/y.(*T).Method(0xc000…)".
func packageOf(function string) string {
	if i := strings.IndexAny(function, "(["); i >= 0 {
		function = function[:i]
	}
	slash := strings.LastIndexByte(function, '/') + 1
	dot := strings.IndexByte(function[slash:], '.')
	if dot < 0 {
		return ""
	}
	pkg, err := url.PathUnescape(function[:slash+dot])
	if err != nil {
		return ""
	}
	return pkg
}

// crashTail is Tail, except that of a crash it returns the beginning, reduced to
// what the user's code has to do with it.
func crashTail(printed string) []string {
	lines := strings.Split(Clean(printed), "\n")
	for i, line := range lines {
		if crashLine.MatchString(line) || strings.TrimSpace(line) == "WARNING: DATA RACE" {
			lines = withoutEmptyStacks(withoutLibrary(lines[i:]))
			return Tail(strings.Join(lines[:min(len(lines), TailLines)], "\n"))
		}
	}
	return Tail(printed)
}

// withoutLibrary drops the stack frames of the standard library.
func withoutLibrary(lines []string) []string {
	var out []string
	for i := 0; i < len(lines); i++ {
		if i+1 < len(lines) && libraryFrame(lines[i], lines[i+1]) {
			i++
			continue
		}
		out = append(out, lines[i])
	}
	return out
}

func libraryFrame(function, place string) bool {
	m := frameLine.FindStringSubmatch(place)
	if m == nil {
		return false
	}
	pkg := packageOf(strings.TrimPrefix(strings.TrimSpace(function), "created by "))
	return pkg == "" || strings.HasPrefix(m[1], "_") || strings.HasSuffix(path.Dir(m[1]), "/src/"+pkg)
}

// withoutEmptyStacks drops the goroutines of which no frame is left.
func withoutEmptyStacks(lines []string) []string {
	var out []string
	for i, line := range lines {
		last := i+1 == len(lines) || strings.TrimSpace(lines[i+1]) == ""
		empty := last && strings.HasPrefix(strings.TrimLeft(strings.ToLower(line), " "), "goroutine ")
		twice := line == "" && len(out) > 0 && out[len(out)-1] == ""
		if !empty && !twice {
			out = append(out, line)
		}
	}
	return out
}
