package pipelines

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// VulnDB is the vulnerability database as the machine sees it. Modified is its version; empty when it could not be read,
// and then Why says so.
type VulnDB struct{ URL, Modified, Why string }

// Vulns is what is known about vulnerabilities: the content of dist/reports/vuln.json.
type Vulns struct {
	Checked  bool             `json:"checked"`
	Why      string           `json:"why,omitempty"`      // it was not checked
	Database string           `json:"database,omitempty"` // its version
	Findings []report.Finding `json:"findings"`
}

// vulnCollector gathers the findings of all modules.
type vulnCollector struct {
	mu       sync.Mutex
	checked  bool
	findings []report.Finding
}

func (c *vulnCollector) add(found []report.Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked = true
	c.findings = append(c.findings, found...)
}

func (c *vulnCollector) value(db VulnDB) Vulns {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.checked {
		return Vulns{Why: db.Why, Findings: []report.Finding{}}
	}
	return Vulns{Checked: true, Database: db.Modified, Findings: append([]report.Finding{}, c.findings...)}
}

// reachable reads the output of govulncheck -json: the vulnerabilities whose code the program calls, without those that the
// project accepts. An acceptance that has run out counts no more.
func reachable(output, dir string, ignore []project.Ignore, now time.Time) ([]report.Finding, error) {
	accepted := map[string]bool{}
	for _, i := range ignore {
		accepted[i.ID] = i.Until.IsZero() || now.Before(i.Until.AddDate(0, 0, 1)) // the last day counts
	}
	found := map[string]report.Finding{}
	decoder := json.NewDecoder(strings.NewReader(output))
	for {
		var message vulnMessage
		err := decoder.Decode(&message)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the output of govulncheck: %w", err)
		}
		f := message.Finding
		if f == nil || len(f.Trace) == 0 || f.Trace[0].Function == "" || accepted[f.OSV] {
			continue
		}
		found[f.OSV] = f.finding(dir)
	}
	return inOrder(found), nil
}

// vulnMessage is the part that we read of govulncheck's JSON (golang.org/x/vuln/internal/govulncheck, protocol v1).
type vulnMessage struct {
	Finding *vulnFinding `json:"finding"`
}

type vulnFinding struct {
	OSV          string `json:"osv"`
	FixedVersion string `json:"fixed_version"`
	Trace        []struct {
		Module, Version, Package, Function string
		Position                           *struct {
			Filename     string
			Line, Column int
		}
	} `json:"trace"`
}

func (f vulnFinding) finding(dir string) report.Finding {
	bad := f.Trace[0]
	message := fmt.Sprintf("%s in %s@%s (%s)", f.OSV, bad.Module, bad.Version, bad.Function)
	if f.FixedVersion != "" {
		message += ", fixed in " + f.FixedVersion
	}
	found := report.Finding{Message: message, Tool: "govulncheck", Package: bad.Package}
	if own := f.Trace[len(f.Trace)-1]; own.Position != nil {
		found.File, found.Line, found.Column = path.Join(dir, own.Position.Filename), own.Position.Line, own.Position.Column
	}
	return found
}

func inOrder(found map[string]report.Finding) []report.Finding {
	ids := make([]string, 0, len(found))
	for id := range found {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	list := make([]report.Finding, len(ids))
	for i, id := range ids {
		list[i] = found[id]
	}
	return list
}
