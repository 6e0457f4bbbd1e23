package settings

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func valid() Settings {
	return Settings{Upstreams: []Upstream{{"blue", "127.0.0.1:20001", 90}, {"green", "127.0.0.1:20002", 10}}}.Normal()
}

func TestCheck(t *testing.T) {
	assert.NoError(t, Settings{}.Normal().Check())
	assert.NoError(t, valid().Check())
	for want, change := range map[string]func(*Settings){
		"add up to 99":                     func(s *Settings) { s.Upstreams[0].Weight = 89 },
		"weight -10":                       func(s *Settings) { s.Upstreams[0].Weight, s.Upstreams[1].Weight = 110, -10 },
		`upstream name "../x"`:             func(s *Settings) { s.Upstreams[0].Name = "../x" },
		`upstream name ""`:                 func(s *Settings) { s.Upstreams[0].Name = "" },
		"blue at 127.0.0.1:20002 is there": func(s *Settings) { s.Upstreams[1].Name = "blue" },
		"green at 127.0.0.1:20001 is":      func(s *Settings) { s.Upstreams[1].Address = "127.0.0.1:20001" },
		`address "10.0.0.1:80"`:            func(s *Settings) { s.Upstreams[0].Address = "10.0.0.1:80" },
		`address "localhost:80"`:           func(s *Settings) { s.Upstreams[0].Address = "localhost:80" },
		`address "127.0.0.1:0"`:            func(s *Settings) { s.Upstreams[0].Address = "127.0.0.1:0" },
		`address "[::1%eth0]:80"`:          func(s *Settings) { s.Upstreams[0].Address = "[::1%eth0]:80" },
		"at most 16":                       func(s *Settings) { s.Upstreams = make([]Upstream, 17) },
		`domain "*.example.org"`:           func(s *Settings) { s.Domains = []string{"*.example.org"} },
		`domain "10.0.0.1"`:                func(s *Settings) { s.Domains = []string{"10.0.0.1"} },
		`domain "a b"`:                     func(s *Settings) { s.Domains = []string{"a b"} },
		`"a.org" is there twice`:           func(s *Settings) { s.Domains = []string{"a.org", "a.org"} },
		"tls auto needs a domain":          func(s *Settings) { s.TLS = Auto },
		`tls "on"`:                         func(s *Settings) { s.TLS = "on" },
		"tls files needs cert and key":     func(s *Settings) { s.TLS = Files },
		"for tls files":                    func(s *Settings) { s.Cert = "/etc/x" },
		"or absolute paths":                func(s *Settings) { s.TLS, s.Cert, s.Key = Files, "a", "b" },
		"both PEM, or both paths":          func(s *Settings) { s.TLS, s.Cert, s.Key = Files, "-----BEGIN CERTIFICATE-----", "/key" },
		"read cert and key": func(s *Settings) {
			s.TLS, s.Cert, s.Key = Files, "-----BEGIN X-----\nhunter2", "-----BEGIN Y-----\nhunter2"
		},
		"no such file": func(s *Settings) { s.TLS, s.Cert, s.Key = Files, "/nonexistent/a", "/nonexistent/b" },
	} {
		s := valid()
		change(&s)
		err := s.Check()
		if assert.ErrorContains(t, err, want) {
			assert.NotContains(t, err.Error(), "hunter2")
		}
	}
}

func TestOrderOfUpstreams(t *testing.T) {
	turned := valid()
	turned.Upstreams[0], turned.Upstreams[1] = turned.Upstreams[1], turned.Upstreams[0]
	assert.False(t, turned.Equal(valid()))
	assert.True(t, turned.Normal().Equal(valid()), "the same split in another order is the same split")
}

func TestLocated(t *testing.T) {
	s := Settings{TLS: Files, Cert: "/etc/cert", Key: "/etc/key"}
	assert.Equal(t, s, s.Located(""))
	assert.Equal(t, Settings{TLS: Files, Cert: "/run/c/tls-cert", Key: "/run/c/tls-key"}, s.Located("/run/c"))
	s.Cert = "-----BEGIN CERTIFICATE-----"
	assert.Equal(t, s, s.Located("/run/c"))
	assert.Equal(t, valid(), valid().Located("/run/c"))
}

func newFile(t *testing.T) File {
	t.Helper()
	return File{filepath.Join(t.TempDir(), "state.json")}
}

func TestFileKeepsThePreviousCopy(t *testing.T) {
	f := newFile(t)
	state, warning := f.Load()
	require.NoError(t, warning)
	assert.Empty(t, state.Settings.Upstreams)
	for sequence := range 3 {
		require.NoError(t, f.Save(State{Version, uint64(sequence + 1), valid()}))
	}
	state, warning = f.Load()
	require.NoError(t, warning)
	assert.Equal(t, State{Version, 3, valid()}, state)
	before, err := load(f.previous())
	require.NoError(t, err)
	assert.EqualValues(t, 2, before.Sequence)
	entries, err := os.ReadDir(filepath.Dir(f.Path))
	require.NoError(t, err)
	assert.Len(t, entries, 2, "nothing else is left")
}

// However a file is damaged, its routes are those before: never none.
func TestADamagedFileIsNotTheEnd(t *testing.T) {
	whole, err := json.Marshal(State{Version, 7, valid()})
	require.NoError(t, err)
	damages := map[string][]byte{"empty": nil, "zeros": make([]byte, len(whole)), "another version": []byte(`{"version":2}`), "text": []byte("hello"),
		"weights": []byte(strings.Replace(string(whole), "90", "50", 1)), "huge": make([]byte, maxFile+1)}
	for cut := range len(whole) {
		damages["torn"+string(rune(cut))] = whole[:cut]
	}
	for name, damage := range damages {
		f := newFile(t)
		require.NoError(t, f.Save(State{Version, 1, valid()}))
		require.NoError(t, f.Save(State{Version, 2, valid()}))
		require.NoError(t, os.WriteFile(f.Path, damage, 0o600))
		state, warning := f.Load()
		assert.ErrorContains(t, warning, "going on with the copy before it", name)
		assert.EqualValues(t, 1, state.Sequence, name)
		assert.Equal(t, valid(), state.Settings, name)

		require.NoError(t, f.Save(State{Version, 3, valid()}), name)
		before, err := load(f.previous())
		require.NoError(t, err, "what is damaged does not take the place of what is not")
		assert.EqualValues(t, 1, before.Sequence, name)
	}
}

func TestBothCopiesDamaged(t *testing.T) {
	f := newFile(t)
	require.NoError(t, os.WriteFile(f.Path, []byte("{"), 0o600))
	require.NoError(t, os.WriteFile(f.previous(), []byte("{"), 0o600))
	state, warning := f.Load()
	assert.Error(t, warning)
	assert.Empty(t, state.Settings.Upstreams)
	require.NoError(t, os.Remove(f.Path))
	require.NoError(t, f.Save(State{Version, 1, valid()}))
}

// A disk that takes no more bytes leaves what was there.
func TestSaveThatFails(t *testing.T) {
	f := newFile(t)
	require.NoError(t, f.Save(State{Version, 1, valid()}))
	require.NoError(t, os.Mkdir(f.Path+".next", 0o700)) // it cannot be written to
	require.Error(t, f.Save(State{Version, 2, valid()}))
	state, warning := f.Load()
	require.NoError(t, warning)
	assert.EqualValues(t, 1, state.Sequence)
}

func FuzzLoad(f *testing.F) {
	whole, _ := json.Marshal(State{Version, 7, valid()})
	f.Add(whole)
	f.Add([]byte(`{"version":1,"settings":{"upstreams":[{"name":"a","address":"127.0.0.1:1","weight":100}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := newFile(t)
		if err := os.WriteFile(file.Path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		state, warning := file.Load()
		if warning == nil {
			require.NoError(t, (Settings{Upstreams: state.Settings.Upstreams, TLS: Off}).Check())
			require.NoError(t, file.Save(state))
		}
	})
}
