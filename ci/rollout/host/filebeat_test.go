package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// observed is the service with its log in the journal, and an input for Filebeat.
func observed() Spec {
	s := greeter()
	s.LogFile = ""
	s.Filebeat = &Filebeat{Dir: "/etc/filebeat/inputs.d/", Environment: "prod"}
	return s
}

func TestRender_FilebeatGolden(t *testing.T) {
	for name, logFile := range map[string]string{"journal": "", "file": "/var/log/greeter-prod.log"} {
		t.Run(name, func(t *testing.T) {
			s := observed()
			s.LogFile = logFile
			r := render(t, s)
			input := r.Hosts["amd64"].Filebeat
			assert.Equal(t, "/etc/filebeat/inputs.d", input.Dir)
			assert.Equal(t, input, r.Hosts["arm64"].Filebeat, "it is the same on all hosts")
			assert.Equal(t, "/etc/filebeat/inputs.d", r.Needs("arm64").Filebeat)
			golden := filepath.Join("testdata", "filebeat-"+name+".yml")
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(input.Input), 0o644))
			}
			expected, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(expected), input.Input)
			assert.True(t, strings.HasPrefix(input.Input, protocol.FilebeatMark("greeter-prod")))
		})
	}
}

// A release with another input is another release, so that rollback brings the old one back.
func TestRender_FilebeatIsPartOfTheReleaseWhereItIsSet(t *testing.T) {
	s := observed()
	with := render(t, s).Release
	s.Version = "1.2.4"
	assert.Equal(t, with, render(t, s).Release, "the version is not in it")
	s.Filebeat.Environment = "staging"
	assert.NotEqual(t, with.Configuration, render(t, s).Release.Configuration)
	s.Filebeat = nil
	without := render(t, s)
	assert.NotEqual(t, with.Configuration, without.Release.Configuration)
	assert.Equal(t, with.Unit, without.Release.Unit)
	assert.Nil(t, without.Hosts["amd64"].Filebeat)
	assert.Empty(t, without.Needs("amd64").Filebeat)
}

func TestRender_RefusesWhatFilebeatWouldReadOtherwise(t *testing.T) {
	for text, change := range map[string]func(*Spec){
		"an absolute path on the hosts":  func(s *Spec) { s.Filebeat.Dir = "inputs.d" },
		`path "/var/log/*.log": it must`: func(s *Spec) { s.LogFile = "/var/log/*.log" },
	} {
		s := observed()
		change(&s)
		_, err := s.Render()
		assert.ErrorContains(t, err, text)
	}
}

// Each host is asked for the directory before anything is changed, and gets the input with the release.
func TestDriver_FilebeatTravelsWithTheRelease(t *testing.T) {
	h := newHosts(t, "", "web1", "web2")
	d, release := h.driver(t), prepared(t, func(s *Spec) { s.Filebeat = &Filebeat{Dir: "/etc/filebeat/inputs.d", Environment: "prod"} })
	_, err := d.Preflight(t.Context(), release)
	require.NoError(t, err)
	require.NoError(t, d.Upload(t.Context(), release, nil))
	require.NoError(t, d.Stage(t.Context(), release))
	for _, name := range h.names {
		assert.Equal(t, "/etc/filebeat/inputs.d", h.needs[name].Filebeat)
		require.Len(t, h.staged[name], 1)
		assert.Equal(t, release.Hosts["amd64"].Filebeat, h.staged[name][0].Filebeat)
		assert.Equal(t, h.staged[name][0].Digest, h.staged[name][0].Release.Digest())
	}
}
