package attest

import (
	"net/url"
	"regexp"
	"strings"
)

// Source says which sources something was built from.
type Source struct {
	Repository string // as git knows it: https://…, ssh://…, git@host:path; "" when there is none
	Commit     string // the whole commit, "" when there is none
	Modified   bool   // the sources differ from the commit
}

// scp is the short form that git has for ssh: git@example.org:team/greeter.git.
var scp = regexp.MustCompile(`^(?:[^@/:]+@)?([A-Za-z0-9.-]+):([^/:\\].*)$`)

// RepositoryURL makes the address of a repository one that may be published: a
// URL without user, password, query and fragment, where tokens are. What is on
// this machine only (a path, file://…) has no address, and becomes "".
func RepositoryURL(remote string) string {
	remote = strings.TrimSpace(remote)
	if short := scp.FindStringSubmatch(remote); short != nil && !strings.Contains(remote, "://") {
		remote = "ssh://" + short[1] + "/" + short[2]
	}
	parsed, err := url.Parse(remote)
	if err != nil || parsed.Host == "" {
		return ""
	}
	switch parsed.Scheme {
	case "https", "http", "ssh", "git", "git+ssh", "git+https":
		return (&url.URL{Scheme: strings.TrimPrefix(parsed.Scheme, "git+"), Host: parsed.Host, Path: parsed.Path}).String()
	}
	return ""
}

// material is the commit as something that was built from.
func (s Source) material() (resource, bool) {
	if s.Commit == "" {
		return resource{}, false
	}
	m := resource{Digest: map[string]string{"gitCommit": s.Commit}}
	if address := RepositoryURL(s.Repository); address != "" {
		m.URI = strings.Replace("git+"+address, "git+git:", "git:", 1)
	} else {
		m.Name = "source"
	}
	if s.Modified {
		m.Annotations = map[string]any{"modified": true}
	}
	return m, true
}
