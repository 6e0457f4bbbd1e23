package ship_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/git"
	"github.com/slipway-ci/slipway/ci/hook"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

// origin gives a module a remote that has its main.
func (m module) origin() {
	m.t.Helper()
	remote := m.dir + ".git"
	m.git("init", "-q", "--bare", remote)
	m.git("remote", "add", "origin", remote)
	m.git("push", "-q", "origin", "main")
}

// push commits what is there and verifies it as a push of main would.
func (m module) push() report.Run {
	m.t.Helper()
	m.commit()
	return m.pushHead(time.Hour)
}

func (m module) pushHead(budget time.Duration) report.Run {
	m.t.Helper()
	options := ship.PushOptions{Options: m.options(), Budget: budget}
	g, err := git.New(m.dir, os.Getenv)
	require.NoError(m.t, err)
	was := m.git("rev-parse", "origin/main")
	pushes, nothing, err := hook.Pushes(m.t.Context(), g, "origin", []hook.Update{{Local: "refs/heads/main", Commit: m.git("rev-parse", "HEAD"), Remote: "refs/heads/main", Was: was}})
	require.NoError(m.t, err)
	require.Len(m.t, pushes, 1, nothing)
	options.Push = pushes[0]
	atOnce <- struct{}{}
	defer func() { <-atOnce }()
	run, err := ship.VerifyPush(m.t.Context(), options, nil)
	require.NoError(m.t, err, outline(run))
	return run
}

// checked are the steps of verify that looked at something.
func checked(run report.Run) (names []string) {
	for title, status := range steps(run, "verify") {
		if status != report.NotChecked && status != report.Skipped {
			names = append(names, title)
		}
	}
	return names
}

// What a push must not bring stops it, with a card; what lies in the work tree does not matter.
func TestPushIsVerified(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "push", nil)
	m.origin()

	m.replace("letters/letters.go", `"a"`, `"b"`)
	run := m.push()
	require.Equal(t, ship.ExitFailed, run.ExitCode, outline(run))
	failure := failureOf(t, run, "verify", "1 test failed")
	assert.Equal(t, "test of dependents", failure.Step, "a package that has not changed breaks")
	assert.Equal(t, "TestWord", failure.Findings[0].Test)
	assert.Equal(t, "go test -race ./words", failure.Reproduce)
	assert.Equal(t, report.NotChecked, steps(run, "verify")["other packages"])

	m.replace("letters/letters.go", `"b"`, `  "a"`)
	run = m.push()
	require.Equal(t, ship.ExitFailed, run.ExitCode, outline(run))
	failure = failureOf(t, run, "verify", "files are not gofmt-ed")
	assert.Equal(t, "letters/letters.go", failure.Findings[0].File)
	assert.Len(t, run.Failures, 1)

	m.replace("letters/letters.go", `  "a"`, `"a"`)
	m.replace("numbers/numbers_test.go", "t.Error(One)", `t.Errorf("%s", One)`)
	run = m.push()
	require.Equal(t, ship.ExitFailed, run.ExitCode, outline(run))
	failure = failureOf(t, run, "verify", "go vet found problems")
	assert.Equal(t, "numbers/numbers_test.go", failure.Findings[0].File)
	assert.Equal(t, "go vet ./numbers", failure.Reproduce)

	m.replace("numbers/numbers_test.go", `t.Errorf("%s", One)`, `t.Errorf("%d", One)`)
	m.commit()
	m.write("numbers/numbers.go", "this is not committed")
	run = m.pushHead(time.Hour)
	require.Equal(t, ship.ExitOK, run.ExitCode, outline(run))
	assert.ElementsMatch(t, []string{"gofmt", "vet", "test"}, checked(run))
	assert.NoDirExists(t, m.dist(), "the work tree is left alone")

	m.git("checkout", "-q", "numbers")
	m.write("go.mod", "module example.com/push\n\ngo 1.26\n")
	run = m.push()
	require.Equal(t, ship.ExitOK, run.ExitCode, outline(run))
	assert.Subset(t, checked(run), []string{"mod tidy", "mod verify", "vet", "test"}, "with a go.mod, everything is looked at")
}

// A push is not held up for longer than its budget, and what was not looked at is said.
func TestPushOverItsBudget(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "push", nil)
	m.origin()
	m.write("numbers/slow_test.go", "package numbers\n\nimport (\n\t\"testing\"\n\t\"time\"\n)\n\nfunc TestSlow(t *testing.T) { time.Sleep(10 * time.Minute) }\n")
	m.commit()
	began := time.Now()
	run := m.pushHead(45 * time.Second)
	require.Equal(t, ship.ExitOK, run.ExitCode, outline(run))
	assert.Equal(t, report.NotChecked, steps(run, "verify")["test"], outline(run))
	assert.Contains(t, outline(run), "the 45s that a push may take are over")
	assert.Less(t, time.Since(began), 2*time.Minute)

	run = m.pushHead(time.Millisecond)
	require.Equal(t, ship.ExitOK, run.ExitCode, outline(run))
	require.NotEmpty(t, run.Warnings)
	assert.Contains(t, run.Warnings[0], "nothing was checked")
}

// In a repository of 50 packages, a push of a change in one of them takes a fraction of the time that all of it takes, and the
// same tree again takes seconds.
func TestPushOfOneOfFiftyPackages(t *testing.T) {
	needsEngine(t)
	const packages = 50
	files := map[string]string{"slipway.yaml": "version: 1\nverify: {strict: true}\n"}
	for i := range packages {
		files[fmt.Sprintf("p%02d/p.go", i)] = packageText(i, time.Now().UnixNano())
		files[fmt.Sprintf("p%02d/p_test.go", i)] = fmt.Sprintf("package p%02d\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) {\n\tif Sum(2) < 2 {\n\t\tt.Error(Sum(2))\n\t}\n}\n", i)
	}
	m := newModule(t, "push", files)
	m.origin()

	began := time.Now()
	m.ships(ship.Verify, elsewhere)
	all := time.Since(began)

	m.replace("p20/p.go", "return n", "return 1 + n")
	began = time.Now()
	run := m.push()
	one := time.Since(began)
	require.Equal(t, ship.ExitOK, run.ExitCode, outline(run))
	assert.Equal(t, "3 packages", factOf(run, "reached"), "itself, and the two that import it")

	m.git("commit", "-q", "--amend", "--allow-empty", "-m", "the same tree")
	began = time.Now()
	run = m.pushHead(time.Hour)
	again := time.Since(began)
	require.Equal(t, ship.ExitOK, run.ExitCode, outline(run))
	assert.Equal(t, report.Cached, steps(run, "verify")["test"], outline(run))

	t.Logf("all of %d packages: %.1f s; a push of a change in one, on which 2 depend: %.1f s; the same tree again: %.1f s", packages, all.Seconds(), one.Seconds(), again.Seconds())
	assert.Less(t, one, all/2)
	assert.Less(t, again, one)
}

func factOf(run report.Run, what string) string {
	for _, f := range run.Inferred {
		if f.What == what {
			return f.Value
		}
	}
	return ""
}

// packageText is one package of many: each is imported by that ten further on.
func packageText(i int, nonce int64) string {
	imports, call := "", "n"
	if i >= 10 {
		imports, call = fmt.Sprintf("import \"example.com/push/p%02d\"\n\n", i-10), fmt.Sprintf("p%02d.Sum(n)", i-10)
	}
	return fmt.Sprintf("// Package p%02d is one of many.\npackage p%02d\n\n%s// Made is when.\nconst Made = %d\n\n// Sum is a number.\nfunc Sum(n int) int {\n\tn += %s - n\n\treturn n\n}\n", i, i, imports, nonce, call)
}
