package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What found a problem.
const (
	toolTest  = "test"
	toolRace  = "race"
	toolPanic = "panic"
	toolBuild = "compile"
	toolVet   = "vet"
)

const (
	keptOfCase    = 64 << 10 // bytes of output, at either end
	maxEventLine  = 4 << 20
	maxLogsOfCase = 5
)

// Dirs says where packages are: import path of a module or package → directory
// relative to the project's root, slash separated. The longest match counts, so
// one entry for each module is enough.
type Dirs map[string]string

// Dir returns the directory of a package.
func (d Dirs) Dir(importPath string) (string, bool) {
	for prefix := importPath; prefix != "." && prefix != "/"; prefix = path.Dir(prefix) {
		if dir, ok := d[prefix]; ok {
			return path.Join(dir, strings.TrimPrefix(importPath, prefix)), true
		}
	}
	return "", false
}

// file returns where a file of a package is, as far as that is known.
func (d Dirs) file(importPath, name string) string {
	dir, ok := d.Dir(importPath)
	if !ok {
		return name
	}
	return path.Join(dir, path.Base(name))
}

// testEvent is one line of go test -json; see go doc cmd/test2json and go help
// buildjson.
type testEvent struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// ParseGoTest reads what go test -json printed. Lines that are no events (of the
// linker, of a wrapper) are kept as output of the first package that failed. The
// error is about reading; that tests failed is in the value.
func ParseGoTest(r io.Reader, dirs Dirs) (Tests, error) {
	p := goTest{dirs: dirs, builds: map[string]*excerpt{}, suites: map[string]*suite{}}
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLine(lines)
		if line != "" {
			p.line(line)
		}
		if errors.Is(err, io.EOF) {
			return p.finish()
		}
		if err != nil {
			return Tests{}, fmt.Errorf("read go test output: %w", err)
		}
	}
}

// readLine returns the next line, of which it keeps maxEventLine bytes.
func readLine(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		part, err := r.ReadSlice('\n')
		if b.Len() < maxEventLine {
			b.Write(part)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return b.String(), err
		}
	}
}

// goTest is the state while events are read.
type goTest struct {
	dirs   Dirs
	events int
	stray  excerpt
	builds map[string]*excerpt // by import path, as FailedBuild names it
	suites map[string]*suite
	order  []*suite
}

type suite struct {
	Suite
	failedBuild string
	output      excerpt
	cases       map[string]*testCase
	order       []*testCase
}

type testCase struct {
	Case
	output excerpt
}

func (p *goTest) line(line string) {
	var e testEvent
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
		p.stray.add(line)
		return
	}
	p.events++
	switch {
	case e.ImportPath != "":
		p.build(e)
	case e.Package == "":
		p.stray.add(e.Output)
	case e.Test == "":
		p.suite(e.Package).event(e)
	default:
		p.suite(e.Package).testCase(e.Test).event(e)
	}
}

func (p *goTest) build(e testEvent) {
	if p.builds[e.ImportPath] == nil {
		p.builds[e.ImportPath] = &excerpt{}
	}
	p.builds[e.ImportPath].add(e.Output)
}

func (p *goTest) suite(name string) *suite {
	s := p.suites[name]
	if s == nil {
		s = &suite{Suite: Suite{Package: name, Status: Running}, cases: map[string]*testCase{}}
		s.Dir, _ = p.dirs.Dir(name)
		p.suites[name] = s
		p.order = append(p.order, s)
	}
	return s
}

func (s *suite) testCase(name string) *testCase {
	c := s.cases[name]
	if c == nil {
		c = &testCase{Case: Case{Name: Clean(name), Status: Running}}
		s.cases[name] = c
		s.order = append(s.order, c)
		for parent := name; strings.Contains(parent, "/"); {
			parent = parent[:strings.LastIndexByte(parent, '/')]
			if up := s.cases[parent]; up != nil {
				up.Parent = true
			}
		}
	}
	return c
}

var coverageLine = regexp.MustCompile(`(?:^|\s)coverage: ([0-9.]+)% of statements`)

func (s *suite) event(e testEvent) {
	switch e.Action {
	case "output":
		s.packageOutput(e.Output)
	case "pass":
		if s.Status == Running {
			s.Status = OK
		}
	case "skip":
		s.Status, s.NoTests = Skipped, true
	case "fail":
		s.Status, s.failedBuild = Failed, e.FailedBuild
	default:
		return
	}
	if e.Elapsed > 0 {
		s.Duration = seconds(e.Elapsed)
	}
}

func (s *suite) packageOutput(text string) {
	if m := coverageLine.FindStringSubmatch(text); m != nil {
		if percent, err := strconv.ParseFloat(m[1], 64); err == nil {
			s.Coverage = &percent
		}
	}
	if strings.HasPrefix(text, "ok ") && strings.Contains(text, "\t(cached)") {
		s.Status = Cached
	}
	s.output.add(text)
}

func (c *testCase) event(e testEvent) {
	switch e.Action {
	case "output":
		if !frame(e.Output) {
			c.output.add(e.Output)
		}
		return
	case "pass", "bench":
		c.Status = OK
	case "skip":
		c.Status = Skipped
	case "fail":
		c.Status = Failed
	default:
		return
	}
	c.Duration = seconds(e.Elapsed)
}

// frame reports whether a line is the testing package's own.
func frame(text string) bool {
	for _, prefix := range []string{"=== RUN ", "=== PAUSE ", "=== CONT ", "=== NAME "} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	text = strings.TrimLeft(text, " ")
	return strings.HasPrefix(text, "--- PASS: ") || strings.HasPrefix(text, "--- FAIL: ") ||
		strings.HasPrefix(text, "--- SKIP: ") || strings.HasPrefix(text, "--- BENCH: ")
}

func seconds(s float64) Duration {
	if s < 0 || s > 1e6 {
		return 0
	}
	return Duration(s * float64(time.Second))
}

func (p *goTest) finish() (Tests, error) {
	stray := Clean(p.stray.String())
	if p.events == 0 && strings.TrimSpace(stray) != "" {
		return Tests{}, fmt.Errorf("read go test output: no test events in it, but: %s", strings.Join(Tail(stray), " / "))
	}
	t := Tests{Suites: make([]Suite, 0, len(p.order))}
	for _, s := range p.order {
		t.add(p.close(s))
	}
	for i, s := range t.Suites {
		if s.Status == Failed && stray != "" {
			t.Suites[i].Output += stray
			break
		}
	}
	return t, nil
}

func (t *Tests) add(s Suite) {
	for _, c := range s.Cases {
		if c.Parent && !(c.Status == Failed && len(c.Findings) > 0 && !s.childFailed(c.Name)) {
			continue
		}
		switch c.Status {
		case Failed:
			t.Failed++
		case Skipped:
			t.Skipped++
		case OK:
			t.Passed++
		}
	}
	t.Suites = append(t.Suites, s)
}

func (s Suite) childFailed(name string) bool {
	for _, c := range s.Cases {
		if c.Status == Failed && strings.HasPrefix(c.Name, name+"/") {
			return true
		}
	}
	return false
}

// close turns what was read of a package into its outcome.
func (p *goTest) close(s *suite) Suite {
	if s.Status == Running {
		s.Status = Canceled
		s.Findings = append(s.Findings, Finding{
			Tool: toolTest, Package: s.Package, Message: "the test output ends before the package is done",
		})
	}
	failed := s.Status == Failed || s.Status == Canceled
	printed := Clean(s.output.String())
	if failed {
		s.Output = printed
		p.closeBuild(s)
		s.Findings = append(s.Findings, p.crashes(s.Package, "", printed)...)
	}
	s.Cases = make([]Case, 0, len(s.order))
	for _, c := range s.order {
		s.Cases = append(s.Cases, p.closeCase(s, c))
	}
	s.explain()
	s.NoTests = len(s.order) == 0 && !failed
	if s.NoTests && s.Status == OK {
		s.Status = Skipped
	}
	if failed && len(s.Findings) == 0 && !s.caseFailed() {
		s.Findings = append(s.Findings, Finding{Tool: toolTest, Package: s.Package, Message: lastWords(printed)})
	}
	s.Findings = full(s.Findings)
	return s.Suite
}

// closeBuild adds what the compiler said, of this package or of one it imports.
func (p *goTest) closeBuild(s *suite) {
	s.NoBuild = s.failedBuild != "" || strings.Contains(s.Output, "[build failed]") || strings.Contains(s.Output, "[setup failed]")
	build := p.builds[s.failedBuild]
	if s.failedBuild == "" || build == nil {
		return
	}
	printed := Clean(build.String())
	s.Output = printed + s.Output
	for _, f := range parseCompile(printed, "") {
		f.File = p.dirs.file(f.Package, f.File)
		s.Findings = append(s.Findings, f)
	}
	if len(s.Findings) == 0 {
		s.Findings = append(s.Findings, Finding{Tool: toolBuild, Package: s.Package, Message: lastWords(printed)})
	}
}

func (p *goTest) closeCase(s *suite, c *testCase) Case {
	printed := Clean(c.output.String())
	c.Findings = []Finding{}
	if c.Status == Running && s.Status != Failed && s.Status != Canceled {
		c.Status = OK // a benchmark has no end of its own
	}
	switch c.Status {
	case OK:
	case Skipped:
		c.Output = printed
	default:
		c.Output = printed
		c.Findings = append(c.Findings, p.crashes(s.Package, c.Name, printed)...)
		c.Findings = append(c.Findings, p.logs(s.Package, c.Name, printed)...)
	}
	return c.Case
}

// explain settles the tests that were running when the process ended. If a crash
// says which of them ended it, the others are canceled, else all of them failed.
func (s *suite) explain() {
	crash := crashed(s.Findings)
	for _, c := range s.Cases {
		crash = crash || crashed(c.Findings)
	}
	for i, c := range s.Cases {
		running := c.Status == Running
		if running {
			c.Status = Failed
			if crash && !crashed(c.Findings) {
				c.Status = Canceled
			}
		}
		if c.Status == Failed && !c.Parent && !crash && len(c.Findings) == 0 {
			c.Findings = append(c.Findings, Finding{Tool: toolTest, Package: s.Package, Test: c.Name, Message: silent(c, running)})
		}
		s.Cases[i] = c
	}
}

// silent explains a failed case that named no place.
func silent(c Case, running bool) string {
	said := strings.Join(strings.Fields(c.Output), " ")
	switch {
	case running && said == "":
		return "the process ended while this test ran (os.Exit, log.Fatal or a signal)"
	case running:
		return "the process ended while this test ran (os.Exit, log.Fatal or a signal); it said: " + clip(said, 200)
	case said == "":
		return "failed without a message"
	}
	return clip(said, 200)
}

// lastWords returns the last line that a package printed, or what to say of one
// that printed nothing.
func lastWords(printed string) string {
	lines := Tail(printed)
	for i := len(lines) - 1; i >= 0; i-- {
		line := strings.TrimSpace(lines[i])
		if line != "" && line != "FAIL" && !strings.HasPrefix(line, "FAIL    ") && !strings.HasPrefix(line, "exit status") {
			return line
		}
	}
	return "the package failed without a message"
}

// excerpt keeps both ends of a long text: a panic begins the output that its
// goroutines fill.
type excerpt struct {
	head strings.Builder
	tail []byte
	cut  bool
}

func (e *excerpt) add(text string) {
	if len(e.tail) == 0 && e.head.Len()+len(text) <= keptOfCase {
		e.head.WriteString(text)
		return
	}
	e.tail = append(e.tail, text...)
	if extra := len(e.tail) - keptOfCase; extra > keptOfCase {
		e.tail, e.cut = append(e.tail[:0], e.tail[extra:]...), true
	}
}

func (e *excerpt) String() string {
	if e.cut {
		return e.head.String() + "\n[…]\n" + string(e.tail)
	}
	return e.head.String() + string(e.tail)
}
