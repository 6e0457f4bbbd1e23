package project

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const schemaFile = "../../docs/slipway.schema.json"

func TestSchema_IsTheOneInDocs(t *testing.T) {
	assertGolden(t, schemaFile, string(Schema()))
}

// What the schema says of every configuration in the fixtures. What Load
// accepts, the schema must accept; what only the schema could have known and
// does not refuse is listed in this test.
func TestSchema_AgreesWithLoad(t *testing.T) {
	// Problems that are not in the document as a value: syntax, order, features of YAML, and what only the sources know.
	beyond := []string{"places", "syntax", "two-documents", "version-late", "cgo", "yaml-features"}
	check := compiledSchema(t)
	for name, text := range configurations(t) {
		t.Run(name, func(t *testing.T) {
			err := check(text)
			shape, isShape := strings.CutPrefix(name, "shapes/")
			problem := strings.TrimPrefix(name, "problems/")
			switch {
			case isShape:
				assert.NoError(t, err, shape)
			case !slices.Contains(beyond, problem):
				assert.Error(t, err, "the schema can know this: %s", problem)
			}
		})
	}
}

// Every single value that the schema can know to be wrong is refused by both, and the other way round.
func TestSchema_RefusesWhatLoadRefuses(t *testing.T) {
	check := compiledSchema(t)
	for _, app := range []string{
		"{}", "{name: a/b}", "{name: -a}", "{name: ''}", "{name: web, dir: ''}", "{name: web, dir: /etc}", `{name: web, main: '..\\x'}`, "{name: web, main: ''}",
		"{name: web, targets: []}", "{name: web, targets: [linux]}", "{name: web, targets: [linux/m68k]}", "{name: web, targets: [linux/arm/v4]}", "{name: web, targets: linux/amd64}",
		"{name: web, build: {link: dynamic}}", "{name: web, build: {tags: ['a b']}}", "{name: web, build: {cgo: 'yes'}}", "{name: web, build: {env: {'A B': c}}}",
		"{name: web, build: {env: {GOOS: linux}}}", `{name: web, build: {env: {A: "\0"}}}`, `{name: web, build: {ldflags: ["\0"]}}`, "{name: web, image: {user: -1}}",
		"{name: web, image: {repository: https://x}}", "{name: web, image: {base: 'a b'}}", "{name: web, image: {labels: {'a b': c}}}", `{name: web, image: {labels: {a: "\0"}}}`,
		"{name: web, service: {}}", "{name: web, service: {port: 0}}", "{name: web, service: {port: 65536}}", "{name: web, service: {port: 80, health: x}}",
		"{name: web, service: {port: 80, grace: soon}}", "{name: web, service: {port: 80, start: 5}}", "{name: web, nmae: x}", "web", "null",
	} {
		text := "version: 1\napps: [" + app + "]\n"
		_, err := loadFrom(t.Context(), oneProgram(), text)
		assert.Error(t, err, app)
		assert.Error(t, check(text), app)
	}
	for _, top := range []string{
		"version: 2", "version: '1'", "verify: {}", "version: 1\ngo: {version: latest}", "version: 1\ngo: {version: 1.26}", "version: 1\nverify: {coverage: {min: 101}}",
		"version: 1\nverify: {modules: []}", "version: 1\nverify: {vuln: {ignore: [{id: x}]}}", "version: 1\nverify: {vuln: {ignore: [{id: x, reason: ' '}]}}",
		"version: 1\nverify: {vuln: {ignore: [{id: x, reason: y, until: 2026-13-01}]}}", "version: 1\napps: []", "version: 1\nenvironments: {prod: {}}", "version: 1\nenvironments: {a/b: {hosts: [local]}}", "[]",
	} {
		_, err := loadFrom(t.Context(), oneProgram(), top)
		assert.Error(t, err, top)
		assert.Error(t, check(top), top)
	}
}

func TestSchema_AcceptsThisRepository(t *testing.T) {
	check := compiledSchema(t)
	own, err := os.ReadFile("../../slipway.yaml")
	if err != nil {
		t.Skip("the rest of the repository is not here")
	}
	assert.NoError(t, check(string(own)))
	for _, name := range []string{"../../README.md", "../../README.zh-CN.md"} {
		readme, err := os.ReadFile(name)
		require.NoError(t, err)
		blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(readme), -1)
		require.NotEmpty(t, blocks, name)
		for _, block := range blocks {
			assert.NoError(t, check(block[1]), name)
		}
	}
}

// A rule that is named must be there, or the schema would say nothing.
func TestRules_AreAllThere(t *testing.T) {
	used := map[string]bool{}
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			look(typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				for _, tag := range []string{"rule", "keys"} {
					if name := typ.Field(i).Tag.Get(tag); name != "" {
						used[name] = true
					}
				}
				look(typ.Field(i).Type)
			}
		}
	}
	look(reflect.TypeFor[config]())
	for name := range used {
		assert.NotZero(t, ruleOf(name), name)
	}
	for _, d := range []time.Duration{DefaultGrace, DefaultStart, time.Hour, 1500 * time.Millisecond, 3 * time.Microsecond} {
		assert.True(t, ruleOf("time").allows(d.String()), d.String())
	}
}

// configurations are those of all fixtures, by the name of the archive.
func configurations(t *testing.T) map[string]string {
	t.Helper()
	archives, err := filepath.Glob("testdata/*/*.txtar")
	require.NoError(t, err)
	found := map[string]string{}
	for _, archive := range archives {
		parsed, err := txtar.ParseFile(archive)
		require.NoError(t, err)
		for _, file := range parsed.Files {
			if strings.HasSuffix(file.Name, defaultConfig) {
				found[strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(archive), "testdata/"), ".txtar")] = string(file.Data)
			}
		}
	}
	require.NotEmpty(t, found)
	return found
}

// compiledSchema gives a function that holds a YAML text against the schema.
func compiledSchema(t testing.TB) func(text string) error {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource("slipway.schema.json", document))
	compiled, err := compiler.Compile("slipway.schema.json")
	require.NoError(t, err)
	return func(text string) error {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			return err
		}
		data, err := json.Marshal(value)
		if err != nil {
			return err
		}
		plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			return err
		}
		return compiled.Validate(plain)
	}
}
