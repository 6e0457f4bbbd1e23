package loadtest_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProxySplitsAndResumes(t *testing.T) {
	s := newSite(t, 1)
	first := s.start("a")
	response, _ := get(t, s.url("/"))
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "there is no instance yet")
	assert.Equal(t, "5", response.Header.Get("Retry-After"))

	blue, green := newInstance(t, "blue", nil), newInstance(t, "green", nil)
	status := s.split(map[*instance]int{blue: 90, green: 10})
	assert.EqualValues(t, 1, status["sequence"])
	for range 8 { // a map has no order: some of these name green first
		assert.EqualValues(t, 1, s.split(map[*instance]int{blue: 90, green: 10})["sequence"], "saying it twice changes nothing, in any order")
	}
	counts := map[string]int{}
	for range 100 {
		_, body := get(t, s.url("/"))
		name, _, _ := strings.Cut(body, " ")
		counts[name]++
	}
	assert.Equal(t, map[string]int{"blue": 90, "green": 10}, counts)
	assert.EqualValues(t, 90, s.figures(blue)["requests"])
	assert.EqualValues(t, 10, s.figures(green)["requests"])
	assert.NotEqual(t, "0s", s.figures(green)["p99"])

	require.NoError(t, first.cmd.Process.Kill())
	assert.Error(t, first.ends())
	s.start("a")
	_, body := get(t, s.url("/"))
	assert.Contains(t, body, " GET 0", "it goes on as it was told")
	assert.EqualValues(t, 1, s.control("GET", "/slipway/v1", nil)["sequence"])

	info, err := os.Stat(filepath.Join(s.run, "proxy.sock"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	info, err = os.Stat(filepath.Join(s.state, "state.json"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
