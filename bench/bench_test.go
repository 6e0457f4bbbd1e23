package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/target"
)

func TestQuick(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs an engine: run without -short")
	}
	t.Chdir("..")
	var table, log bytes.Buffer
	err := command(t.Context(), []string{"-quick", "-work", t.TempDir()}, &table, &log)
	require.NoError(t, err, log.String())
	for _, want := range []string{"go build", slipwayBuild, cold, oneLine, nothing, "All of them made the same bytes", "Growing projects", "megabytes in the tree"} {
		assert.Contains(t, table.String(), want)
	}
}

// The bench puts modules where the stages look for them.
func TestModulesLieWhereTheStagesKeepThem(t *testing.T) {
	source, err := os.ReadFile(filepath.FromSlash("../ci/pipelines/cache.go"))
	require.NoError(t, err)
	assert.Contains(t, string(source), `"`+goVolume+`"`)
	assert.Contains(t, string(source), `"`+goOwner+`"`)
	assert.Contains(t, string(source), `home       = "/home/slipway"`)
}

func TestParse(t *testing.T) {
	quiet := io.Discard
	o, err := parse(nil, quiet)
	require.NoError(t, err)
	assert.Equal(t, target.Default(), o.targets)
	assert.Equal(t, "bench.md", filepath.Base(o.out))

	o, err = parse([]string{"-quick", "-work", "here", "/some/where"}, quiet)
	require.NoError(t, err)
	assert.Equal(t, 1, o.rounds)
	assert.Equal(t, "-", o.out)
	assert.True(t, filepath.IsAbs(o.work))
	assert.Equal(t, "/some/where", o.checkout)

	_, err = parse([]string{"one", "two"}, quiet)
	require.ErrorContains(t, err, "more than one checkout")
	_, err = parse([]string{"-target", "linux/amd65"}, quiet)
	require.Error(t, err)
}

func TestRatios(t *testing.T) {
	ours := []usage{{wall: time.Second}, {wall: 3 * time.Second}, {wall: 2 * time.Second}}
	others := []usage{{wall: 2 * time.Second}, {wall: 2 * time.Second}, {wall: 2 * time.Second}}
	least, middle, most, ok := ratios(ours, others)
	assert.True(t, ok)
	assert.Equal(t, []float64{0.5, 1, 1.5}, []float64{least, middle, most})
	_, _, _, ok = ratios(ours, nil)
	assert.False(t, ok)
	assert.Equal(t, "2.00 (1.00–3.00)", spread(ours))
	assert.Equal(t, "not measured", spread(nil))
}

func TestGoalsAreJudged(t *testing.T) {
	found := results{}
	for name, seconds := range map[string]int{slipwayBuild: 1, goReleaser: 4, goBuild: 1} {
		for _, state := range []string{cold, nothing} {
			found.add(state, name, usage{wall: time.Duration(seconds) * time.Second})
		}
	}
	var doc document
	doc.goals(found)
	assert.Contains(t, doc.String(), "| nothing changed | ≤ 0.50 × GoReleaser | 0.25 (0.25–0.25) | met |")
	assert.Contains(t, doc.String(), "| cold | ≤ 0.95 × go build | 1.00 (1.00–1.00) | missed |")
	assert.Contains(t, doc.String(), "| one line changed | ≤ 1.00 × GoReleaser |  | not measured |")
}

func TestTargetsThatNeedNoCompilerForC(t *testing.T) {
	six, all := someTargets(6), someTargets(1000)
	assert.ElementsMatch(t, target.Default(), six)
	assert.Len(t, all, len(pureTargets()))
	assert.Equal(t, six, all[:6])
}

func TestTheChangedLineIsInPackageMain(t *testing.T) {
	assert.True(t, declaresMain([]byte("package main\nfunc main() {}\n")))
	assert.False(t, declaresMain([]byte("package main\nfunc (t) main() {}\n")))
	assert.False(t, declaresMain([]byte("package other\nfunc main() {}\n")))

	dir := t.TempDir()
	l := line{file: "main.go", before: []byte("package main\n")}
	require.NoError(t, l.change(dir, "one"))
	require.NoError(t, l.change(dir, "two"))
	data, err := os.ReadFile(filepath.Join(dir, "main.go"))
	require.NoError(t, err)
	assert.Equal(t, "package main\n\nvar benchLine = \"two\"\n\nvar _ = benchLine\n", string(data))
}

func TestEveryContenderComesFirstOnce(t *testing.T) {
	all := []contender{{name: "a"}, {name: "b"}, {name: "c"}}
	var first []string
	for round := range 3 {
		turn := rotated(all, round)
		assert.Len(t, turn, 3)
		first = append(first, turn[0].name)
	}
	assert.Equal(t, []string{"a", "b", "c"}, first)
	assert.Equal(t, "a", all[0].name)
}
