package main

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/slipway-ci/slipway/ci/report"
)

func red() outcome {
	return outcome{
		trial: trial{name: "tide", commit: "0123456789abcdef"}, took: 61 * time.Second,
		run: report.Run{ExitCode: 1, Inferred: []report.Fact{{What: "app tide"}}, Failures: []report.Failure{{
			Step: "test", Title: "2 tests failed", Findings: []report.Finding{{Test: "TestEbb"}, {Test: "TestFlow|x"}, {Test: "TestEbb"}},
		}}, Stages: []report.Stage{{Name: "verify", Steps: []report.Step{{Name: "test", Summary: "12 passed, 2 failed"}}}}},
	}
}

func TestRowNamesTheFailingTests(t *testing.T) {
	assert.Equal(t, `| tide | 0123456 | 1 module, 1 program, 12 passed, 2 failed | exit 1 | test: 2 tests failed: TestEbb, TestFlow\|x | not on the list | 1m1s |`, red().row())
}

func TestExpected(t *testing.T) {
	o := red()
	assert.True(t, o.expected(), "what is not on the list has to end with a report, and no more")
	o.want = &expectation{repository: "example.org/tide", red: []string{"TestEbb"}}
	assert.True(t, o.expected())
	o.want = &expectation{repository: "example.org/tide", red: []string{"TestStorm"}}
	assert.False(t, o.expected(), "red for another reason")
	o.want = &expectation{repository: "example.org/tide"}
	assert.False(t, o.expected(), "red where green was expected")
	o.run = report.Run{}
	assert.True(t, o.expected())
	o.want.red = []string{"TestEbb"}
	assert.False(t, o.expected(), "green where red was expected")
	o.err = errors.New("no report")
	assert.False(t, o.expected())
}

func TestListNamesEachRepositoryOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range expectations {
		assert.False(t, seen[e.name()], e.repository)
		assert.Len(t, e.commit, 40, e.repository)
		seen[e.name()] = true
	}
}
