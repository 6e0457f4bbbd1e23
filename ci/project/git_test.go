package project

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const oneMain = "testdata/shapes/no-git.txtar"

func committed(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.expand(oneMain)
	f.git("init", "-q")
	f.git("add", "-A")
	f.git("commit", "-q", "-m", "one")
	return f
}

func load(t *testing.T, f *fixture) Project {
	t.Helper()
	p, err := Load(t.Context(), f.options())
	require.NoError(t, err)
	return p
}

func TestLoad_GitThatAnotherUserOwns(t *testing.T) {
	f := committed(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	require.NoError(t, os.Chown(f.top, 12345, 12345))
	require.NoError(t, os.Chown(filepath.Join(f.top, ".git"), 12345, 12345))
	v := load(t, f).Version
	assert.Equal(t, unversioned, v.Version)
	assert.Contains(t, v.Reason, "another user owns the directory")
	assert.Contains(t, v.Reason, "git config --global --add safe.directory")
}

func TestLoad_WithoutGitBinary(t *testing.T) {
	f := committed(t)
	f.env["PATH"] = "bin:" + t.TempDir()
	v := load(t, f).Version
	assert.Equal(t, unversioned, v.Version)
	assert.Contains(t, v.Reason, "git is not installed")
	assert.Equal(t, noDate(), v.Date)
}

func TestLoad_RunsNoGitOfTheCheckout(t *testing.T) {
	f := committed(t)
	f.write("bin/git", []byte("#!/bin/sh\ntouch "+f.top+"/ran\n"))
	require.NoError(t, os.Chmod(filepath.Join(f.top, "bin/git"), 0o755))
	t.Chdir(f.top)
	f.env["PATH"] = "bin:./bin:" + f.env["PATH"]
	load(t, f)
	assert.NoFileExists(t, filepath.Join(f.top, "ran"))
}

func TestLoad_RunsNoMonitorOfTheCheckout(t *testing.T) {
	f := committed(t)
	f.write("monitor", []byte("#!/bin/sh\ntouch '"+f.top+"/ran'\n"))
	require.NoError(t, os.Chmod(filepath.Join(f.top, "monitor"), 0o755))
	f.git("config", "core.fsmonitor", "./monitor")
	load(t, f)
	assert.NoFileExists(t, filepath.Join(f.top, "ran"))
}

func TestLoad_InsideAHook(t *testing.T) {
	f := committed(t)
	other := committed(t)
	other.git("tag", "v9.9.9")
	f.env["GIT_DIR"], f.env["GIT_WORK_TREE"] = filepath.Join(other.top, ".git"), other.top
	assert.NotEqual(t, "9.9.9", load(t, f).Version.Version)
}

func TestLoad_ShallowClone(t *testing.T) {
	origin := committed(t)
	origin.git("tag", "v1.0.0")
	origin.git("commit", "-q", "--allow-empty", "-m", "two")
	f := newFixture(t)
	f.git("clone", "-q", "--depth", "1", "file://"+origin.top, "clone")
	f.source = filepath.Join(f.top, "clone")
	v := load(t, f).Version
	assert.Contains(t, v.Reason, "the clone is shallow")
	assert.False(t, v.Dirty)
}

func TestLoad_DetachedHeadHasNoBranch(t *testing.T) {
	f := committed(t)
	f.git("checkout", "-q", "--detach")
	p := load(t, f)
	assert.Empty(t, p.Source.Branch)
	assert.Equal(t, "0.0.0-1-g"+p.Version.Short, p.Version.Version)
	assert.Len(t, p.Version.Short, shortCommitDigits)
	assert.Equal(t, time.UTC, p.Version.Date.Location())
}

func TestLoad_SameFromAnyDirectory(t *testing.T) {
	f := committed(t)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(f.top, link))
	direct := load(t, f)
	f.source = link
	assert.Equal(t, direct, load(t, f))
}

func TestLoad_Canceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Load(ctx, committed(t).options())
	assert.ErrorIs(t, err, context.Canceled)
}

func TestDirtyScope_Inputs(t *testing.T) {
	sources := fstest.MapFS{
		"app/main.go":       {Data: []byte("package main\n\n//go:embed page.html \"with space\" all:static\nvar files embed.FS\n")},
		"app/deep/x.go":     {Data: []byte("package deep\n\n//go:embed *.txt\nvar files embed.FS\n")},
		"app/x_test.go":     {Data: []byte("package main\n\n//go:embed test.html\n")},
		"lib/broken.go":     {Data: []byte("package lib\n\n//go:embed [\n")},
		"app/out/embeds.go": {Data: []byte("package out\n\n//go:embed *\n")},
	}
	scope := dirtyScope{fsys: sources, prefix: "service", dirs: []string{"app", "lib"}, others: []string{"go.work"}, nested: []string{".", "app/tools"}, outputs: []string{"app/out"}}
	for entry, want := range map[string]string{
		" M service/app/main.go\x00":                                "app/main.go",
		"?? service/app/page.html\x00":                              "app/page.html",
		"?? service/app/other.html\x00":                             "",
		"?? service/app/with space\x00":                             "app/with space",
		"?? service/app/static/a/b.js\x00":                          "app/static/a/b.js",
		"?? service/app/deep/a.txt\x00":                             "app/deep/a.txt",
		"?? service/app/deep/down/a.txt\x00":                        "",
		"?? service/app/test.html\x00":                              "",
		"?? service/lib/anything\x00":                               "lib/anything",
		" M service/app/go.sum\x00":                                 "app/go.sum",
		" M service/app/vendor/modules.txt\x00":                     "app/vendor/modules.txt",
		" M service/app/vendor/example.com/x/x.go\x00":              "app/vendor/example.com/x/x.go",
		" M service/app/asm_amd64.s\x00":                            "app/asm_amd64.s",
		" M service/app/default.pgo\x00":                            "app/default.pgo",
		" M service/app/testdata/x.go\x00":                          "",
		" M service/app/_old/x.go\x00":                              "",
		" M service/app/.x.go\x00":                                  "",
		"R  service/app/new.go\x00service/app/old.go\x00":           "app/new.go",
		"R  service/x/new.go\x00service/app/old.go\x00":             "",
		" M service/go.work\x00":                                    "go.work",
		" M service/app/main_test.go\x00":                           "",
		"?? service/app/README.MD\x00":                              "",
		" M service/app/slipway.yaml\x00":                           "",
		"?? service/app/out/app.go\x00":                             "",
		" M service/app/tools/x.go\x00":                             "",
		" M service/other/x.go\x00":                                 "",
		" M elsewhere/app/main.go\x00":                              "",
		" M service/apple/main.go\x00":                              "",
		"\x00":                                                      "",
		"nonsense":                                                  "",
		" M service/app/with space\nand line.go\x00":                "app/with space\nand line.go",
		" D service/app/a.go\x00MM service/lib/b.go\x00AA x\x00":    "app/a.go lib/b.go",
		"C  service/app/copy.go\x00service/app/a.go\x00 M y.go\x00": "app/copy.go",
	} {
		assert.Equal(t, want, strings.Join(scope.inputs(entry), " "), "%q", entry)
	}
}

func TestLineOf(t *testing.T) {
	for _, test := range []struct {
		dir, path string
		want      line
	}{
		{".", "example.com/web", line{}},
		{".", "example.com/web/v2", line{}},
		{"sub", "example.com/web/sub", line{prefix: "sub/"}},
		{"a/b", "example.com/web/a/b/v3", line{prefix: "a/b/"}},
		{"v2", "example.com/web/v2", line{major: "v2"}},
		{"sub/v2", "example.com/web/sub/v2", line{prefix: "sub/", major: "v2"}},
		{"v2", "example.com/other", line{prefix: "v2/"}},
		{"x", "gopkg.in/x.v3", line{prefix: "x/"}},
	} {
		assert.Equal(t, test.want, lineOf(test.dir, test.path), "%s %s", test.dir, test.path)
	}
}

func TestLine_Version(t *testing.T) {
	for tag, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3": "1.2.3", "v1.2.3-rc.1+b": "1.2.3-rc.1+b", "2024.5.6": "2024.5.6",
		"v1.2": "", "v1": "", "2024.05.06": "", "vv1.2.3": "", "x/v1.2.3": "", "": "", "v1.2.3 ": "",
	} {
		assert.Equal(t, want, line{}.version(tag), tag)
	}
	assert.Equal(t, "1.2.3", line{prefix: "sub/"}.version("sub/v1.2.3"))
	assert.Empty(t, line{prefix: "sub/"}.version("v1.2.3"))
	assert.Equal(t, "2.0.1", line{major: "v2"}.version("v2.0.1"))
	assert.Empty(t, line{major: "v2"}.version("v1.9.0"))
}

func TestWebAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"https://github.com/acme/web.git":               "https://github.com/acme/web",
		"https://user:token@github.com/acme/web.git":    "https://github.com/acme/web",
		"https://git.example.com:8443/acme/web/":        "https://git.example.com:8443/acme/web",
		"git@github.com:acme/web.git":                   "https://github.com/acme/web",
		"github.com:acme/web":                           "https://github.com/acme/web",
		"ssh://git@github.com:22/acme/web.git":          "https://github.com/acme/web",
		"https://github.com/acme/web.git?token=abc#def": "https://github.com/acme/web",
		"/srv/git/web.git":                              "",
		"file:///srv/git/web.git":                       "",
		"../web":                                        "",
		`C:\git\web`:                                    "",
		"":                                              "",
	} {
		assert.Equal(t, want, webAddress(remote), remote)
	}
}

func TestDecideVersion(t *testing.T) {
	commit := "abc1234def5678abc1234def5678abc1234def56"
	for _, test := range []struct {
		name    string
		history history
		changed []string
		want    string
	}{
		{"at a tag", history{tag: "v1.2.3", commit: commit}, nil, "1.2.3"},
		{"after a tag", history{tag: "v1.2.3", distance: 4, commit: commit}, nil, "1.2.3-4-gabc1234"},
		{"dirty at a tag", history{tag: "v1.2.3", commit: commit}, []string{"a.go"}, "1.2.3-dirty"},
		{"dirty after a tag", history{tag: "v1.2.3", distance: 4, commit: commit}, []string{"a.go"}, "1.2.3-4-gabc1234-dirty"},
		{"no tag", history{commits: 7, commit: commit}, nil, "0.0.0-7-gabc1234"},
		{"no history", history{none: "git is not installed"}, nil, unversioned},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, decideVersion(test.history, test.changed).Version)
		})
	}
}

// Whatever git says and whatever tags are called: the version is one that can be compared, and be part of the name of a file.
func FuzzDescribe(f *testing.F) {
	for _, seed := range []string{
		"v1.2.3-0-gabc", "v1.2.3-rc-1-4-gabc", "v-0-g", "-g", "v1--1-ga", "v1.2.3-99999999999999999999-ga", "", "1.2.3-0-gabc", "v1.2.3+meta-2-gabc",
		"sub/v1.2.3-7-gabc", "v1.2.3-rc.1-0-gabc", "v01.2.3-0-gabc", "v1.2-0-gabc", "v1.2.3-+-1-ga", "v1.2.3-g-g-1-gabc",
	} {
		f.Add(seed, "sub", "example.com/acme/sub")
		f.Add(seed, ".", "example.com/acme/v2")
		f.Add(seed, "v2", "example.com/acme/v2")
	}
	f.Fuzz(func(t *testing.T, out, dir, modulePath string) {
		tag, distance, ok := parseDescribe(out)
		if !ok {
			return
		}
		assert.GreaterOrEqual(t, distance, 0)
		assert.True(t, strings.HasPrefix(out, tag+"-"), "the tag is the beginning: %q", tag)
		l := lineOf(dir, modulePath)
		plain := l.version(tag)
		if plain == "" {
			return
		}
		assert.True(t, strings.HasPrefix(tag, l.prefix), "%q has the prefix %q", tag, l.prefix)
		assert.Equal(t, plain, l.version(l.prefix+"v"+plain), "with a v it is the same version")
		v := decideVersion(history{line: l, tag: tag, distance: distance, commit: "abc1234d"}, nil)
		dirty := decideVersion(history{line: l, tag: tag, distance: distance, commit: "abc1234d"}, []string{"a.go"})
		for _, each := range []Version{v, dirty} {
			assert.Regexp(t, `^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*$`, each.Version)
			assert.True(t, strings.HasPrefix(each.Version, plain), "%q counts from %q", each.Version, plain)
		}
		assert.Equal(t, v.Version == plain, distance == 0, "at the tag it is the tag")
		assert.Equal(t, v.Version+"-dirty", dirty.Version)
	})
}
