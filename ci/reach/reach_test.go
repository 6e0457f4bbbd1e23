package reach_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/reach"
)

// layers is a module in which main imports api, api imports store, and store's tests import fake; web is by itself.
var layers = map[string]string{
	"go.mod":                    "module example.com/m\n\ngo 1.25\n",
	"cmd/m/main.go":             "package main\n\nimport _ \"example.com/m/api\"\n\nfunc main() {}\n",
	"api/api.go":                "package api\n\nimport _ \"example.com/m/store\"\n",
	"api/api_test.go":           "package api\n",
	"store/store.go":            "package store\n",
	"store/store_test.go":       "package store_test\n\nimport _ \"example.com/m/fake\"\n",
	"store/testdata/rows.txt":   "1\n",
	"fake/fake.go":              "package fake\n",
	"web/web.go":                "package web\n\nimport \"embed\"\n\n//go:embed all:static\nvar files embed.FS\n",
	"web/static/gen/gen.go":     "package main\n\nfunc main() {}\n",
	"web/static/gen/page.html":  "<p>\n",
	"win/win.go":                "//go:build windows\n\npackage win\n\nimport _ \"example.com/m/store\"\n",
	"README.md":                 "# m\n",
	"docs/testdata/x/broken.go": "package\n",
}

func tree(t *testing.T, files map[string]string) reach.Tree {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	read, err := reach.Read(t.Context(), fsys, "amd64", "1.26.8")
	require.NoError(t, err)
	return read
}

// written is what is reached, in one line.
func written(r reach.Reach) string {
	var parts []string
	for _, dir := range []string{".", "lib", "tool"} {
		p, ok := r.Modules[dir]
		if !ok {
			continue
		}
		whole := ""
		if p.Whole != "" {
			whole = " whole"
		}
		parts = append(parts, fmt.Sprintf("%s%s %v > %v", dir, whole, p.Changed, p.Dependents))
	}
	if len(r.Others) > 0 {
		parts = append(parts, fmt.Sprintf("others %v", r.Others))
	}
	return strings.Join(parts, "; ")
}

func TestReach(t *testing.T) {
	m := tree(t, layers)
	for changed, want := range map[string]string{
		"store/store.go":            ". [./store] > [./api ./cmd/m]",
		"api/api.go":                ". [./api] > [./cmd/m]",
		"api/api_test.go":           ". [./api] > []",
		"cmd/m/main.go":             ". [./cmd/m] > []",
		"fake/fake.go":              ". [./fake] > [./store]",
		"store/testdata/rows.txt":   ". [./store] > []",
		"store/store_amd64.s":       ". [./store] > [./api ./cmd/m]",
		"fake/notes.txt":            "others [fake/notes.txt]",
		"store/gone.go":             ". [./store] > [./api ./cmd/m]",
		"web/static/gen/page.html":  ". [./web] > []",
		"web/static/gen/gen.go":     ". [./web ./web/static/gen] > []",
		"web/static/index.html":     ". [./web] > []",
		"win/win.go":                ".  > []",
		"README.md":                 "others [README.md]",
		"docs/testdata/x/broken.go": "others [docs/testdata/x/broken.go]",
		".github/workflows/ci.yml":  "others [.github/workflows/ci.yml]",
		"testdata/go.mod":           "others [testdata/go.mod]",
		"go.sum":                    ". whole [./api ./cmd/m ./fake ./store ./web ./web/static/gen] > []",
		"slipway.yaml":              ". whole [./api ./cmd/m ./fake ./store ./web ./web/static/gen] > []",
		"vendor/x/x.go":             ". whole [./api ./cmd/m ./fake ./store ./web ./web/static/gen] > []",
	} {
		want = strings.Replace(want, ".  >", ". [] >", 1)
		assert.Equal(t, want, written(m.Reach([]string{changed})), changed)
	}
	assert.Empty(t, written(m.Reach(nil)))
	assert.Equal(t, ". [./api ./fake] > [./cmd/m ./store]", written(m.Reach([]string{"api/api.go", "fake/fake.go"})))
}

func TestFilesToFormat(t *testing.T) {
	part := tree(t, layers).Reach([]string{"api/api.go", "api/gone.go", "api/x.txt", "store/store_test.go", "docs/testdata/x/broken.go"}).Modules["."]
	assert.Equal(t, []string{"api/api.go", "store/store_test.go"}, part.Files)
	assert.Equal(t, 6, part.Packages)
}

// A package that is gone still breaks those who import it.
func TestARemovedPackage(t *testing.T) {
	files := map[string]string{}
	for name, text := range layers {
		if !strings.HasPrefix(name, "store/") {
			files[name] = text
		}
	}
	assert.Equal(t, ". [] > [./api ./cmd/m]", written(tree(t, files).Reach([]string{"store/store.go"})))
}

func TestReachAcrossModules(t *testing.T) {
	m := tree(t, map[string]string{
		"go.mod":           "module example.com/m\n\ngo 1.25\n\nreplace example.com/other/name => ./lib\n",
		"m.go":             "package m\n\nimport _ \"example.com/other/name/words\"\n",
		"lib/go.mod":       "module example.com/lib\n\ngo 1.25\n",
		"lib/words/w.go":   "package words\n",
		"tool/go.mod":      "module example.com/m/tool\n\ngo 1.25\n",
		"tool/t.go":        "package tool\n\nimport _ \"example.com/m\"\n",
		"tool/t_test.go":   "package tool\n",
		"tool/deep/t.go":   "package deep\n\nimport _ \"example.com/mother\"\n",
		"unrelated/go.mod": "broken\n",
	})
	assert.Equal(t, ". [] > [.]; lib [./words] > []; tool [] > [.]", written(m.Reach([]string{"lib/words/w.go"})))
	assert.Equal(t, "tool [.] > []", written(m.Reach([]string{"tool/t.go"})))
	assert.Equal(t, "tool whole [. ./deep] > []", written(m.Reach([]string{"tool/go.mod"})))
	assert.Equal(t, ". whole [.] > []; lib whole [./words] > []; tool whole [. ./deep] > []", written(m.Reach([]string{"go.work"})))
	assert.Equal(t, []string{".", "lib", "tool", "unrelated"}, m.Modules())
}

// Whatever changed: what is reached is there, once, and a superset of what less of it reaches.
func FuzzReach(f *testing.F) {
	f.Add("store/store.go", "README.md")
	f.Add("../x", "/")
	f.Add("vendor", "a/testdata/go.mod")
	f.Add("", ".")
	f.Fuzz(func(t *testing.T, one, two string) {
		m := tree(t, layers)
		less, more := m.Reach([]string{one}), m.Reach([]string{one, two})
		seen := map[string]bool{}
		for _, p := range append(more.Modules["."].Changed, more.Modules["."].Dependents...) {
			assert.False(t, seen[p], p)
			seen[p] = true
		}
		for _, p := range append(less.Modules["."].Changed, less.Modules["."].Dependents...) {
			assert.True(t, seen[p], p)
		}
	})
}
