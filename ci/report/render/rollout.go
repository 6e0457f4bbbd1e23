package render

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/slipway-ci/slipway/ci/report"
)

// rolloutLines are what runs on each target after a rollout.
func (t theme) rolloutLines(run report.Run) []line {
	var out []line
	for _, r := range run.Rollouts {
		rows := [][2]string{{r.Service, "serves"}}
		for _, target := range r.Targets {
			rows = append(rows, [2]string{target.Name, serving(target)})
		}
		width := 0
		for _, row := range rows {
			width = max(width, t.width(row[0]))
		}
		for i, row := range rows {
			mark, s := " ", dim
			if i > 0 {
				s = normal
				mark = t.status[report.OK]
				if !r.Targets[i-1].Wanted {
					mark = t.status[report.Warned]
				}
			}
			out = append(out, line{{"  " + t.pad(mark, 1) + " " + t.pad(row[0], width) + "  " + row[1], s}})
		}
	}
	return out
}

// serving is what has the traffic of a target.
func serving(t report.RolloutTarget) string {
	if t.Unseen != "" {
		return "cannot be seen: " + t.Unseen
	}
	var parts []string
	for _, i := range t.Running {
		if i.Weight == 0 {
			continue
		}
		text := i.Version
		if i.Weight < 100 {
			text += fmt.Sprintf(" %d%%", i.Weight)
		}
		if i.Health != "healthy" {
			text += ", " + cmp.Or(i.Health, "not seen")
		}
		parts = append(parts, text)
	}
	return cmp.Or(strings.Join(parts, "; "), "nothing")
}
