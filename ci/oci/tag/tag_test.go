package tag

import (
	"strings"
	"testing"
	"testing/quick"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

func TestFor(t *testing.T) {
	for name, c := range map[string]struct {
		version Version
		options Options
		names   string
		fixed   string
	}{
		"a release":                 {Version{"1.2.3", commit, false}, Options{}, "1.2.3 1.2 0123456789ab", "1.2.3 0123456789ab"},
		"with the v":                {Version{"v1.2.3", commit, false}, Options{}, "1.2.3 1.2 0123456789ab", "1.2.3 0123456789ab"},
		"latest, where asked":       {Version{"1.2.3", commit, false}, Options{Latest: true}, "1.2.3 1.2 0123456789ab latest", "1.2.3 0123456789ab"},
		"a prerelease":              {Version{"1.2.3-rc.1", commit, false}, Options{Latest: true}, "1.2.3-rc.1 0123456789ab", "1.2.3-rc.1 0123456789ab"},
		"after a release":           {Version{"1.2.3-4-gabc1234", commit, false}, Options{Latest: true}, "1.2.3-4-gabc1234 0123456789ab", "1.2.3-4-gabc1234 0123456789ab"},
		"dirty":                     {Version{"1.2.3-dirty", commit, true}, Options{Latest: true}, "1.2.3-dirty", ""},
		"dirty, and said apart":     {Version{"1.2.3", commit, true}, Options{Latest: true}, "1.2.3", ""},
		"without a commit":          {Version{"0.0.0", "", false}, Options{}, "0.0.0 0.0", ""},
		"a build":                   {Version{"1.2.3+build.7", commit, false}, Options{}, "1.2.3-build.7 1.2 0123456789ab", "1.2.3-build.7 0123456789ab"},
		"two numbers":               {Version{"1.2", commit, false}, Options{Latest: true}, "1.2 0123456789ab", "1.2 0123456789ab"},
		"templates":                 {Version{"1.2.3", commit, false}, Options{Templates: []string{"{{.Version}}", "v{{ .Major }}", "{{.Minor}}", "edge-{{.Short}}", "edge"}}, "1.2.3 v1 1.2 edge-0123456789ab edge", "1.2.3 edge-0123456789ab"},
		"templates, no release":     {Version{"1.2.3-rc.1", commit, false}, Options{Templates: []string{"{{.Version}}", "{{.Major}}", "{{.Minor}}", "latest"}, Latest: true}, "1.2.3-rc.1", "1.2.3-rc.1"},
		"templates, dirty":          {Version{"1.2.3", commit, true}, Options{Templates: []string{"{{.Version}}", "{{.Commit}}", "{{.Short}}"}}, "1.2.3", ""},
		"templates, the same twice": {Version{"1.2.3", commit, false}, Options{Templates: []string{"1.2.3", "{{.Version}}", "latest"}, Latest: true}, "1.2.3 latest", "1.2.3"},
		"a whole commit":            {Version{"1.2.3", commit, false}, Options{Templates: []string{"{{.Commit}}"}}, commit, commit},
	} {
		t.Run(name, func(t *testing.T) {
			tags, err := For(c.version, c.options)
			require.NoError(t, err)
			assert.Equal(t, c.names, strings.Join(tags.Names(), " "))
			var fixed []string
			for _, tag := range tags.Tags {
				assert.NotEmpty(t, tag.Reason)
				if tag.Fixed {
					fixed = append(fixed, tag.Name)
				}
			}
			assert.Equal(t, c.fixed, strings.Join(fixed, " "))
		})
	}
}

func TestForSaysWhy(t *testing.T) {
	tags, err := For(Version{"1.2.3-rc.1+b", commit, true}, Options{Latest: true})
	require.NoError(t, err)
	assert.Equal(t, []Tag{{Name: "1.2.3-rc.1-b", Reason: "the version 1.2.3-rc.1+b, as registries allow letters, digits, dots, - and _ only, and 128 of them"}}, tags.Tags)
	assert.Equal(t, []string{
		"major.minor: the sources differ from their commit", "commit: the sources differ from it", "latest: the sources differ from their commit",
	}, tags.Without)
}

func TestForRefuses(t *testing.T) {
	for template, want := range map[string]string{
		"{{.Branch}}":           "known are .Version, .Major, .Minor, .Commit and .Short",
		"{{range .}}x{{end}}":   "is no tag",
		"a b":                   "is no tag",
		"-{{.Version}}":         "is no tag",
		"":                      "is no tag",
		"{{.Version}}:x":        "is no tag",
		"{{printf .Version}}":   "is no tag",
		"{{.Version | printf}}": "is no tag",
	} {
		_, err := For(Version{"1.2.3", commit, false}, Options{Templates: []string{template}})
		assert.ErrorContains(t, err, want, template)
	}
	_, err := For(Version{"1.2.3-rc.1", commit, false}, Options{Templates: []string{"{{.Minor}}"}})
	assert.ErrorContains(t, err, "no template gives one for version 1.2.3-rc.1: add {{.Version}}")
	_, err = For(Version{}, Options{})
	assert.ErrorContains(t, err, "there is no version")
}

// holds is what must be true of every decision.
func holds(t *testing.T, v Version, o Options) {
	t.Helper()
	tags, err := For(v, o)
	if err != nil {
		return
	}
	seen := map[string]bool{}
	for _, tag := range tags.Tags {
		assert.True(t, Valid(tag.Name), "%q of %+v", tag.Name, v)
		assert.False(t, seen[tag.Name], "%q is there twice", tag.Name)
		assert.False(t, tag.Fixed && (v.Dirty || tag.Name == "latest"), "%q of %+v is fixed", tag.Name, v)
		seen[tag.Name] = true
	}
	if seen["latest"] && strings.TrimPrefix(v.Version, "v") != "latest" {
		assert.True(t, parse(Version{Version: strings.TrimPrefix(v.Version, "v"), Dirty: v.Dirty}).release, "%+v is latest", v)
	}
}

func TestForHolds(t *testing.T) {
	any := func(version, commit string, dirty, latest bool) bool {
		holds(t, Version{version, commit, dirty}, Options{Latest: latest})
		return !t.Failed()
	}
	numbers := func(a, b, c uint8, rest string, dirty bool) bool {
		version := strings.Join([]string{digits(a), digits(b), digits(c)}, ".") + rest
		holds(t, Version{version, commit, dirty}, Options{Latest: true})
		return !t.Failed()
	}
	require.NoError(t, quick.Check(any, nil))
	require.NoError(t, quick.Check(numbers, nil))
}

func digits(n uint8) string { return strings.Repeat("1", int(n%4)+1) }

func TestCleanLeavesValidTagsAlone(t *testing.T) {
	same := func(text string) bool {
		clean := Clean(text)
		return (clean == "" || Valid(clean)) && Clean(clean) == clean && (!Valid(text) || clean == text)
	}
	require.NoError(t, quick.Check(same, nil))
}

func FuzzFor(f *testing.F) {
	f.Add("1.2.3", commit, false, "{{.Version}}")
	f.Add("v1.2.3+b", "", true, "{{.Major}}-{{.Short}}")
	f.Add("é", "é", false, "latest")
	f.Fuzz(func(t *testing.T, version, commit string, dirty bool, template string) {
		holds(t, Version{version, commit, dirty}, Options{Latest: true})
		holds(t, Version{version, commit, dirty}, Options{Templates: []string{template}})
	})
}
