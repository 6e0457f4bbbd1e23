package main

import (
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// program finds the first word of an argv: below the release where it has a slash or is one of its programs, else on this
// machine's PATH.
func (s *service) program(r manifest, argv []string) []string {
	dir := protocol.ReleaseDir(s.name, r.Digest)
	name := argv[0]
	switch {
	case filepath.IsAbs(name):
	case strings.Contains(name, "/"):
		name = filepath.Join(dir, name)
	case s.has(r, "bin/"+name):
		name = filepath.Join(dir, "bin", name)
	default:
		if found, err := exec.LookPath(name); err == nil {
			name = found
		}
	}
	return append([]string{name}, argv[1:]...)
}

func (s *service) has(r manifest, path string) bool {
	for _, f := range r.Files {
		if f.Path == path {
			return true
		}
	}
	return false
}

// literal keeps systemd from replacing variables in the words of a command.
func literal(argv []string) []string {
	words := make([]string, len(argv))
	for i, word := range argv {
		words[i] = strings.ReplaceAll(word, "$", "$$")
	}
	return words
}
