package pipelines

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"dagger.io/dagger"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// VulnDB is the vulnerability database as the machine sees it. Modified is its version; empty when it could not be read,
// and then Why says so.
type VulnDB struct {
	URL, Modified, Why string

	Dir  string // where it lies on the machine, for a file:// address
	Port int    // of the machine's loopback, for an address there
}

// vulnDBName is the name under which the container of govulncheck reaches a database on the machine's loopback, vulnDBDir is
// where it finds one that lies in a directory.
const (
	vulnDBName = "slipway-vulndb"
	vulnDBDir  = "/slipway/vulndb"
)

// inside is the address by which a container knows the database.
func (db VulnDB) inside() string {
	if db.Dir != "" {
		return "file://" + vulnDBDir
	}
	address, err := url.Parse(db.URL)
	if db.Port == 0 || err != nil {
		return db.URL
	}
	address.Host = net.JoinHostPort(vulnDBName, strconv.Itoa(db.Port))
	return address.String()
}

// vulnRoot is where govulncheck runs, with the database if it is the machine's own. The database's version is part of the cache
// key.
func (v verifier) vulnRoot(m project.Module, db VulnDB) *dagger.Container {
	c := v.in(v.made.tests(), m, v.made.source()).
		WithEnvVariable("SLIPWAY_VULNDB", db.Modified).
		WithMountedFile("/usr/local/bin/govulncheck", v.built(govulncheck))
	if db.Dir != "" {
		c = c.WithMountedDirectory(vulnDBDir, v.Client.Host().Directory(db.Dir))
	}
	if db.Port == 0 {
		return c
	}
	c = c.WithServiceBinding(vulnDBName, loopback(v.Client, db.Port))
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		c = c.WithEnvVariable(name, strings.TrimPrefix(v.Machine.Env[name]+","+vulnDBName, ","))
	}
	return c
}

// Vulns is what is known about vulnerabilities: the content of dist/reports/vuln.json.
type Vulns struct {
	Checked  bool             `json:"checked"`            // in all modules
	Why      string           `json:"why,omitempty"`      // it was not checked
	Database string           `json:"database,omitempty"` // its version
	Tool     string           `json:"tool,omitempty"`     // version of govulncheck
	Findings []report.Finding `json:"findings"`
}

// vulnCollector gathers the findings of all modules.
type vulnCollector struct {
	mu        sync.Mutex
	checked   bool
	unchecked string // why a module was not looked at
	findings  []report.Finding
}

func (c *vulnCollector) add(found []report.Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked = true
	c.findings = append(c.findings, found...)
}

// missed says that a module was not looked at.
func (c *vulnCollector) missed(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unchecked = why
}

// value is what all modules came to: what was looked at in some of them only was not checked.
func (c *vulnCollector) value(db VulnDB) Vulns {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := Vulns{Checked: c.checked && c.unchecked == "", Why: c.unchecked, Findings: append([]report.Finding{}, c.findings...)}
	if c.checked {
		v.Database, v.Tool = db.Modified, govulncheck.version
	}
	return v
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
