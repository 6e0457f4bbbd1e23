package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/ship"
)

// document is the Markdown that the bench writes.
type document struct{ text strings.Builder }

func (d *document) String() string { return d.text.String() }

func (d *document) line(format string, args ...any) { fmt.Fprintf(&d.text, format+"\n", args...) }

// row writes one row of a table.
func (d *document) row(cells ...string) { d.line("| %s |", strings.Join(cells, " | ")) }

// header writes the first rows of a table.
func (d *document) header(cells ...string) {
	d.line("")
	d.row(cells...)
	d.line("|%s", strings.Repeat("---|", len(cells)))
}

// about says where and when, and how to repeat it.
func (b *bench) about(ctx context.Context, d *document) error {
	commit, _, err := process{dir: b.root, env: environ(), argv: []string{"git", "describe", "--always", "--dirty"}}.output(ctx)
	if err != nil {
		return err
	}
	d.line("# Measured")
	d.line("")
	if b.compare {
		d.line("`make bench` wrote this file: see [what it measures](#what-is-measured) below. Times are of whole processes, seen from outside.")
	} else {
		d.line("`bench` wrote this. Times are of whole processes, seen from outside.")
	}
	d.header("", "")
	d.row("machine", fmt.Sprintf("%d cores, %s, %s/%s", runtime.NumCPU(), memory(), runtime.GOOS, runtime.GOARCH))
	d.row("Go", ship.PinnedGo)
	d.row("commit", strings.TrimSpace(string(commit)))
	d.row("date", time.Now().UTC().Format(time.DateOnly))
	if b.compare {
		d.row("repeat", "`make bench`, or `make bench ARGS=CHECKOUT` for another project; `make bench ARGS=-profile` takes our runs apart")
	} else {
		d.row("repeat", "`make bench ARGS='-compare=false -out docs/growth.md'`")
	}
	return nil
}

// memory is how much the machine has.
func memory() string {
	data, err := os.ReadFile("/proc/meminfo")
	var kib int64
	if err != nil {
		return "memory unknown"
	}
	if _, err := fmt.Sscanf(string(data), "MemTotal: %d kB", &kib); err != nil {
		return "memory unknown"
	}
	return fmt.Sprintf("%d GiB", kib>>20)
}

// comparison writes the contenders' table and whether the goals are met.
func (d *document) comparison(b *bench, all []contender, found results, different []string) {
	d.line("\n## Against what people use without it\n")
	d.line("%s, %d targets. Seconds: the median, and from the fastest round to the slowest.", b.projectLine(), len(b.project.Apps[0].Targets))
	names := []string{""}
	for _, c := range all {
		names = append(names, c.name)
	}
	d.header(names...)
	for _, state := range []string{cold, oneLine, nothing} {
		cells := []string{state}
		for _, c := range all {
			cells = append(cells, spread(found[state][c.name]))
		}
		d.row(cells...)
	}
	d.peaks(all, found)
	d.goals(found)
	d.line("")
	if len(different) == 0 {
		d.line("All of them made the same bytes, program by program.")
	} else {
		d.line("Not of the same bytes as those of %s: %s.", all[0].name, strings.Join(different, "; "))
	}
	d.line("%s", measured)
}

func (d *document) peaks(all []contender, found results) {
	cells := []string{"largest process"}
	for _, c := range all {
		var most int64
		for _, state := range []string{cold, oneLine, nothing} {
			for _, u := range found[state][c.name] {
				most = max(most, u.peak)
			}
		}
		cells = append(cells, megabytes(most))
	}
	d.row(cells...)
}

// goal is what our build stage should take at most, as a part of what another takes.
type goal struct {
	state   string
	against string
	most    float64
}

func goals() []goal {
	return []goal{{nothing, goReleaser, 0.5}, {oneLine, goReleaser, 1.0}, {cold, goBuild, 0.95}}
}

func (d *document) goals(found results) {
	d.header("our build stage", "goal", "measured", "")
	for _, g := range goals() {
		least, middle, most, ok := ratios(found[g.state][slipwayBuild], found[g.state][g.against])
		if !ok {
			d.row(g.state, fmt.Sprintf("≤ %.2f × %s", g.most, g.against), "", "not measured")
			continue
		}
		word := "missed"
		if middle <= g.most {
			word = "met"
		}
		d.row(g.state, fmt.Sprintf("≤ %.2f × %s", g.most, g.against), fmt.Sprintf("%.2f (%.2f–%.2f)", middle, least, most), word)
	}
}

// ratios compares two contenders round by round.
func ratios(ours, others []usage) (least, middle, most float64, ok bool) {
	var all []float64
	for i := range min(len(ours), len(others)) {
		all = append(all, ours[i].wall.Seconds()/others[i].wall.Seconds())
	}
	if len(all) == 0 {
		return 0, 0, 0, false
	}
	slices.Sort(all)
	return all[0], median(all), all[len(all)-1], true
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// spread is the median of the rounds, with the fastest and the slowest.
func spread(rounds []usage) string {
	if len(rounds) == 0 {
		return "not measured"
	}
	seconds := make([]float64, len(rounds))
	for i, u := range rounds {
		seconds[i] = u.wall.Seconds()
	}
	slices.Sort(seconds)
	if len(seconds) == 1 {
		return fmt.Sprintf("%.2f", seconds[0])
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", median(seconds), seconds[0], seconds[len(seconds)-1])
}

func megabytes(n int64) string {
	if n == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%d MB", n/1e6)
}

func (b *bench) projectLine() string {
	if b.checkout == "" && !b.quick {
		return "The service in `bench/testdata/service`, with more than a hundred modules linked into it"
	}
	return "The project " + b.project.Name
}

// measured explains the numbers; it is part of every table.
const measured = `
### What is measured

- Every contender has a clone of its own and a build cache of its own. They take turns, and another one is first in each round.
- All use the same Go, ` + "`-trimpath -ldflags='-s -w'`" + ` and ` + "`CGO_ENABLED=0`" + `; the modules are downloaded before, for all of them.
- ` + "`go build`" + ` builds one target after the other; the others build as many at once as there are processors.
- "cold" is with an empty build cache. For Slipway everything is pruned from the engine, results of commands included; the
  toolchain and the modules are put back. The engine itself runs.
- "one line changed" is a new value of a variable in package main: all targets are compiled there and linked anew.
- ` + "`slipway ship`" + ` also checks, tests, packs, makes images and starts one; it is there for scale, and its checkers are fetched and built
  in the cold rounds. No goal is set for it.
- "largest process" is the most memory of one process that the command started itself; what the engine starts is not in it.
`

// growth writes how our build stage grows.
func (d *document) growth(all []grown) {
	if len(all) == 0 {
		return
	}
	d.line("\n## Growing projects\n")
	d.line("`slipway build` of generated services that need the standard library alone. \"First\" is after `slipway engine prune`.")
	d.header("what", "size", "first, s", "nothing changed, s", "largest process", "engine's memory")
	for _, g := range all {
		most := g.first.peak
		for _, u := range g.again {
			most = max(most, u.peak)
		}
		d.row(g.what, fmt.Sprint(g.size), fmt.Sprintf("%.1f", g.first.wall.Seconds()), spread(g.again), megabytes(most), megabytes(g.engine))
	}
}

// profile writes one run of ours, taken apart.
func (d *document) profile(p profiled) {
	d.line("\n## %s, %s: %.2f s", p.name, p.state, p.wall.Seconds())
	d.header("part", "ms", "")
	for _, part := range p.phases {
		d.row(part.name, fmt.Sprint(part.took.Milliseconds()), part.note)
	}
}
