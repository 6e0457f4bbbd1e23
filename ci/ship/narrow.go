package ship

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/target"
)

// narrow leaves only the targets that the command line asks for. Each app keeps those of its own that are asked for; one
// that no app has is an error, because nothing would be built for it.
func narrow(p *project.Project, wanted []target.Target) error {
	if len(wanted) == 0 {
		return nil
	}
	if len(p.Apps) == 0 {
		return &UsageError{"--target: this project has no program to build; leave the flag out to verify it"}
	}
	built := map[target.Target]bool{}
	var offered []string
	for i := range p.Apps {
		var kept []target.Target
		for _, t := range p.Apps[i].Targets {
			if name := t.String(); !slices.Contains(offered, name) {
				offered = append(offered, name)
			}
			if slices.Contains(wanted, t) {
				kept = append(kept, t)
				built[t] = true
			}
		}
		p.Apps[i].Targets = kept
	}
	for _, t := range wanted {
		if !built[t] {
			return &UsageError{fmt.Sprintf("--target %s: no app is built for it; there is %s", t, strings.Join(offered, ", "))}
		}
	}
	return nil
}

// checkSkip refuses names of checks that there are not: a misspelt one would be run without a word.
func checkSkip(names []string) error {
	for _, name := range names {
		if !slices.Contains(pipelines.Checks(), name) {
			return &UsageError{fmt.Sprintf("--skip %q: there is no such check; there is %s", name, strings.Join(pipelines.Checks(), ", "))}
		}
	}
	return nil
}
