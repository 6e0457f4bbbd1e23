package pipelines

import "strings"

// goCauses are what the go command says about modules, and what that means to somebody who meets it for the first time. More
// than one may be in an output: the first one here leads to the others.
var goCauses = []struct{ said, means string }{
	{"SECURITY ERROR", "a module is not what go.sum recorded: somebody changed go.sum, or the module's author or its proxy serves something else " +
		"under the same version. Find out which, with git log -p go.sum, before you take the new sum; the check is never left out"},
	{"inconsistent vendoring in", "vendor is not what go.mod asks for: go mod vendor (or go work vendor) brings it up to date"},
	{"missing go.sum entry", "go.sum lacks a module that go.mod asks for: go mod tidy adds it"},
	{"updates to go.mod needed", "go.mod does not name all that the code imports: go mod tidy adds it"},
}

// goCause is what an output of the go command is known to mean, or "".
func goCause(output string) string {
	for _, known := range goCauses {
		if strings.Contains(output, known.said) {
			return known.means
		}
	}
	return ""
}
