package report

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func suiteOf(name string, cases ...Case) Tests {
	s := Suite{Package: name, Status: OK, Cases: cases}
	if s.caseFailed() {
		s.Status = Failed
	}
	var t Tests
	t.add(s)
	return t
}

func TestRetried(t *testing.T) {
	first := JoinTests(
		suiteOf("a", Case{Name: "TestGood", Status: OK}, Case{Name: "TestBusy", Status: Failed, Parent: true}, Case{Name: "TestBusy/one", Status: Failed}, Case{Name: "TestBusy/two", Status: OK}),
		suiteOf("b", Case{Name: "TestBusy", Status: Failed}))
	failed, ok := first.Retryable()
	assert.True(t, ok)
	assert.Equal(t, map[string][]string{"a": {"TestBusy"}, "b": {"TestBusy"}}, failed)

	second := first.Retried(JoinTests(
		suiteOf("a", Case{Name: "TestBusy", Status: OK, Parent: true}, Case{Name: "TestBusy/one", Status: OK}, Case{Name: "TestBusy/two", Status: OK}),
		suiteOf("b", Case{Name: "TestBusy", Status: Failed})), 1)
	assert.False(t, second.OK())
	assert.Equal(t, "1 failed, 3 passed, 1 flaky: TestBusy/one failed 1 of 2", second.Summary())
	assert.Equal(t, OK, second.Suites[0].Status)

	third := second.Retried(suiteOf("b", Case{Name: "TestBusy", Status: OK}), 2)
	assert.True(t, third.OK())
	assert.Equal(t, "4 passed, 2 flaky: TestBusy/one failed 1 of 2, TestBusy failed 2 of 3", third.Summary())
	assert.False(t, first.OK(), "the first outcome stays as it was")
}

// What another run cannot mend stays as it is.
func TestNotRetryable(t *testing.T) {
	for name, tests := range map[string]Tests{
		"nothing failed":    suiteOf("a", Case{Name: "TestGood", Status: OK}),
		"it did not build":  {Suites: []Suite{{Package: "a", Status: Failed, NoBuild: true}}},
		"outside of a test": {Suites: []Suite{{Package: "a", Status: Failed}}},
		"it has no end":     {Suites: []Suite{{Package: "a", Status: Canceled}}},
		"a panic":           {Suites: []Suite{{Package: "a", Status: Failed, Cases: []Case{{Name: "TestA", Status: Failed}, {Name: "TestB", Status: Canceled}}}}},
		"a data race":       suiteOf("a", Case{Name: "TestA", Status: Failed, Findings: []Finding{{Tool: toolRace}}}),
	} {
		_, ok := tests.Retryable()
		assert.False(t, ok, name)
	}
}
