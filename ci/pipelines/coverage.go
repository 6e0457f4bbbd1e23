package pipelines

import (
	"strconv"
	"strings"
)

// joinProfiles makes one coverage profile of several: they share the mode line.
func joinProfiles(profiles []string) string {
	var joined strings.Builder
	for i, profile := range profiles {
		head, body, _ := strings.Cut(profile, "\n")
		if i == 0 {
			joined.WriteString(head + "\n")
		}
		joined.WriteString(body)
	}
	return joined.String()
}

// coverage is the share of covered statements of a profile, in percent; negative when it holds none. A block that several
// test binaries report is covered when one of them ran it.
//
// The form of a line: name.go:line.column,line.column numberOfStatements count (go doc golang.org/x/tools/cover).
func coverage(profile string) float64 {
	type block struct {
		statements int
		covered    bool
	}
	blocks := map[string]block{}
	for _, line := range strings.Split(profile, "\n") {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		statements, err1 := strconv.Atoi(fields[1])
		count, err2 := strconv.ParseUint(fields[2], 10, 64)
		if err1 != nil || err2 != nil {
			continue
		}
		b := blocks[fields[0]]
		blocks[fields[0]] = block{statements, b.covered || count > 0}
	}
	var all, covered int
	for _, b := range blocks {
		all += b.statements
		if b.covered {
			covered += b.statements
		}
	}
	if all == 0 {
		return -1
	}
	return 100 * float64(covered) / float64(all)
}
