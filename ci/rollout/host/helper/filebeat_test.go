//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

const inputs = "/etc/filebeat/inputs.d"

// shipper is a service whose log Filebeat reads, on a machine where each release runs as soon as it is asked for.
type shipper struct {
	*testing.T
	*service
}

func newShipper(t *testing.T) *shipper {
	t.Helper()
	m := bench(t)
	m.systemd.run = func(_ context.Context, argv ...string) (string, error) {
		if slices.Contains(argv, "show") {
			return "Id=" + app + "-blue.service\nActiveState=active\nSubState=running\nUnitFileState=enabled\n", nil
		}
		return "", nil
	}
	require.NoError(t, os.MkdirAll(m.path(inputs), 0o755))
	s, err := m.service(app)
	require.NoError(t, err)
	t.Cleanup(s.close)
	return &shipper{t, s}
}

// staged puts a release on the machine, with an input in a directory, or without one.
func (s *shipper) staged(artifact, dir string) protocol.Release {
	s.Helper()
	r := protocol.Release{Release: rollout.Release{Artifact: artifact}, Service: app, Slots: map[string]protocol.Instance{rollout.Blue: {Unit: "[Service]\n# " + artifact + "\n"}}}
	r.Digest = r.Release.Digest()
	if dir != "" {
		r.Filebeat = &protocol.Filebeat{Dir: dir, Input: protocol.FilebeatMark(app) + " changes are overwritten\n# " + artifact + "\n"}
	}
	require.NoError(s, s.stage(s.Context(), r))
	return r
}

// commit is what the last step of a rollout does, twice.
func (s *shipper) commit(r protocol.Release) {
	s.Helper()
	_, err := writeUnit(s.units, s.unit(rollout.Blue), r.Digest, r.Slots[rollout.Blue].Unit)
	require.NoError(s, err)
	require.NoError(s, s.prune(s.Context(), r.Digest))
	once := s.found()
	require.NoError(s, s.prune(s.Context(), r.Digest))
	s.untouched(once)
}

// untouched holds that the files in Filebeat's directories are still the same ones.
func (s *shipper) untouched(before map[string]os.FileInfo) {
	s.Helper()
	after := s.found()
	assert.Len(s, after, len(before))
	for name, info := range before {
		require.Contains(s, after, name)
		assert.Equal(s, info.ModTime(), after[name].ModTime(), name)
		assert.True(s, os.SameFile(info, after[name]), name)
	}
}

// found are the files in Filebeat's directories.
func (s *shipper) found() map[string]os.FileInfo {
	s.Helper()
	files := map[string]os.FileInfo{}
	matches, err := filepath.Glob(s.path("/etc/filebeat/*/*"))
	require.NoError(s, err)
	for _, name := range matches {
		files[name[len(s.path("/etc/filebeat"))+1:]], err = os.Lstat(name)
		require.NoError(s, err)
	}
	return files
}

func (s *shipper) text(dir string) string {
	s.Helper()
	text, err := os.ReadFile(s.path(dir, app+".yml"))
	require.NoError(s, err)
	return string(text)
}

func (s *shipper) foreign(dir, text string) {
	s.Helper()
	require.NoError(s, os.WriteFile(s.path(dir, app+".yml"), []byte(text), 0o600))
}

func TestFilebeatFollowsTheCommittedRelease(t *testing.T) {
	s := newShipper(t)
	one, two, none := s.staged("one", inputs), s.staged("two", inputs), s.staged("none", "")
	assert.Empty(t, s.found(), "staging changes nothing")
	s.commit(one)
	assert.Equal(t, one.Filebeat.Input, s.text(inputs))
	assert.Equal(t, os.FileMode(0o644), s.found()["inputs.d/"+app+".yml"].Mode())
	s.commit(two)
	assert.Equal(t, two.Filebeat.Input, s.text(inputs))
	assert.Len(t, s.found(), 1, "nothing else is left there")
	s.commit(none)
	assert.Empty(t, s.found(), "a release without one takes it away")
	s.commit(one)
	assert.Equal(t, one.Filebeat.Input, s.text(inputs), "going back brings it back")

	s.foreign(inputs, one.Filebeat.Input+"# by hand\n")
	s.commit(one)
	assert.Equal(t, one.Filebeat.Input, s.text(inputs), "as its first line says")
	assert.Equal(t, os.FileMode(0o644), s.found()["inputs.d/"+app+".yml"].Mode())
}

func TestFilebeatsDirectoryChanges(t *testing.T) {
	s := newShipper(t)
	const other, link = "/etc/filebeat/other.d", "/etc/filebeat/link.d"
	require.NoError(t, os.Mkdir(s.path(other), 0o755))
	s.commit(s.staged("one", inputs))
	two := s.staged("two", other)
	s.commit(two)
	assert.NoFileExists(t, s.path(inputs, app+".yml"), "it would be read twice")
	assert.Equal(t, two.Filebeat.Input, s.text(other))

	require.NoError(t, os.Symlink(s.path(other), s.path(link)))
	three := s.staged("three", link)
	s.commit(three)
	assert.Equal(t, three.Filebeat.Input, s.text(other), "another name of the same directory")

	require.NoError(t, os.RemoveAll(s.path("/etc/filebeat")))
	s.commit(s.staged("none", ""))
}

// What somebody else wrote stays, and nothing of a release is started.
func TestFilebeatsForeignInputStays(t *testing.T) {
	for name, put := range map[string]func(*shipper){
		"a file": func(s *shipper) { s.foreign(inputs, "- type: filestream\n") },
		"of another service": func(s *shipper) {
			s.foreign(inputs, protocol.FilebeatMark("greeter-prod-two")+" changes are overwritten\n")
		},
		"marked further down": func(s *shipper) { s.foreign(inputs, "---\n"+protocol.FilebeatMark(app)+"\n") },
		"a link":              func(s *shipper) { require.NoError(s, os.Symlink("nowhere", s.path(inputs, app+".yml"))) },
		"a directory":         func(s *shipper) { require.NoError(s, os.Mkdir(s.path(inputs, app+".yml"), 0o755)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShipper(t)
			one, none := s.staged("one", inputs), s.staged("none", "")
			put(s)
			before := s.found()
			s.refused(one, inputs+"/"+app+".yml is there, and slipway did not write it", "move that file away")
			s.commit(none)
			s.untouched(before)
		})
	}
}

func TestFilebeatsDirectoryIsMissing(t *testing.T) {
	s := newShipper(t)
	require.NoError(t, os.Remove(s.path(inputs)))
	one := s.staged("one", inputs)
	s.refused(one, inputs+", in which Filebeat is to find its input, is not there", "install Filebeat, or create the directory")
	require.NoError(t, os.WriteFile(s.path(inputs), nil, 0o600))
	s.refused(one, "is no directory", "correct the path")
}

// refused holds that a release is refused before anything changes: by facts, by its start, and at last by its commit.
func (s *shipper) refused(r protocol.Release, what, next string) {
	s.Helper()
	facts, err := s.machine.facts(s.Context(), protocol.Request{Service: app, Needs: &protocol.Needs{Filebeat: r.Filebeat.Dir}})
	require.NoError(s, err)
	assert.True(s, slices.ContainsFunc(facts.Problems, func(p protocol.Problem) bool {
		return strings.Contains(p.What, what) && strings.Contains(p.Next, next) && !p.Perhaps
	}), "%+v", facts.Problems)
	var p *problem
	err = s.start(s.Context(), rollout.Step{Place: rollout.Place{Slot: rollout.Blue, Release: r.Digest}})
	require.ErrorAs(s, err, &p)
	assert.Contains(s, p.Message, what)
	file, err := readUnit(s.units, s.unit(rollout.Blue))
	require.NoError(s, err)
	assert.False(s, file.there, "nothing is written")
	_, err = writeUnit(s.units, s.unit(rollout.Blue), r.Digest, r.Slots[rollout.Blue].Unit)
	require.NoError(s, err)
	require.ErrorAs(s, s.prune(s.Context(), r.Digest), &p)
	assert.Contains(s, p.Message, what)
	st, err := s.load(s.Context())
	require.NoError(s, err)
	assert.Empty(s, st.Committed)
	require.NoError(s, s.units.Remove(s.unit(rollout.Blue)))
}

func TestFilebeatsInputIsChecked(t *testing.T) {
	s := newShipper(t)
	for name, f := range map[string]protocol.Filebeat{
		"relative":  {Dir: "etc", Input: protocol.FilebeatMark(app)},
		"not clean": {Dir: "/etc/../root", Input: protocol.FilebeatMark(app)},
		"unmarked":  {Dir: inputs, Input: "- type: journald\n"},
		"another's": {Dir: inputs, Input: protocol.FilebeatMark("other")},
	} {
		r := protocol.Release{Service: app, Slots: map[string]protocol.Instance{rollout.Blue: {Unit: "x"}}, Filebeat: &f}
		r.Digest = r.Release.Digest()
		var p *problem
		require.ErrorAs(t, s.stage(t.Context(), r), &p, name)
		assert.Equal(t, protocol.Refused, p.Kind)
	}
}
