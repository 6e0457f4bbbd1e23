package ship

import (
	"fmt"
	"path/filepath"
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
	built := map[target.Target]bool{}
	var offered []string
	for i := range p.Apps {
		var kept []target.Target
		for _, t := range p.Apps[i].Targets {
			offered = append(offered, t.String())
			if slices.Contains(wanted, t) {
				kept = append(kept, t)
				built[t] = true
			}
		}
		p.Apps[i].Targets = kept
	}
	offered = unique(offered)
	for _, t := range wanted {
		if !built[t] && len(offered) == 0 {
			return &UsageError{fmt.Sprintf("--target %s: there is no program to build; leave it out to verify alone", t)}
		}
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

// unique is a list with each item once, where it first was.
func unique(items []string) []string {
	var list []string
	for _, item := range items {
		if !slices.Contains(list, item) {
			list = append(list, item)
		}
	}
	return list
}

// checkPrograms refuses a verb that would have nothing to do: it must not end well without a result.
func checkPrograms(verb Verb, p project.Project) error {
	if (verb.verifies() && verb != Publish) || len(p.Apps) > 0 {
		return nil
	}
	message := fmt.Sprintf("slipway %s has no program to work on", verb)
	for _, r := range p.Reasons {
		if r.What == "left out" || r.What == "apps" {
			message += fmt.Sprintf("\n  %s %s: %s", r.What, r.Value, r.Why)
		}
	}
	return &UsageError{message + "\n  slipway verify checks a project without programs"}
}

// checkDistPlace refuses to write where the sources are.
func checkDistPlace(o Options) error {
	if inside, err := filepath.Rel(o.Dist, o.Source); err == nil && filepath.IsLocal(inside) {
		return &UsageError{fmt.Sprintf("--dist %s holds the project itself: name a directory of its own, such as %s", o.Dist, filepath.Join(o.Source, "dist"))}
	}
	return nil
}
