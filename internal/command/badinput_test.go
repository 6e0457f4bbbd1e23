package command_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/internal/command"
)

const badInputFile = "testdata/bad-input.golden"

// production is an environment that nothing is wrong with.
const production = "version: 1\napps: [{name: web, service: {port: 8080}}]\nenvironments:\n  prod:\n    hosts: [ssh://deploy@web1.example.org]\n"

// bad is one bad input: a command line on a project, which is testdata/bad-input.txtar with some files replaced.
type bad struct {
	what   string            // a line for people
	args   string            // what follows "slipway", split at spaces; "\x20" is a space inside of one
	config string            // slipway.yaml, when it is what is bad
	files  map[string]string // other files; "" removes one
	make   func(*testing.T)  // what no text can be
	env    map[string]string
	code   int // 2 when it is 0
}

// TestBadInput shows for each bad input its exit code and every word that a user gets to see. Read the golden file as one who is
// tired: does each message name the cause and the next step?
func TestBadInput(t *testing.T) {
	var all strings.Builder
	cases := badInputs()
	for i, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			dir := t.TempDir()
			c.lay(t, dir)
			t.Chdir(dir)
			stdout, stderr, code := c.run(t)
			want := c.code
			if want == 0 {
				want = 2
			}
			assert.Equal(t, want, code, stderr)
			assert.Empty(t, stdout, "nothing for machines")
			assertForPeople(t, stderr, code)
			fmt.Fprintf(&all, "## %d. %s\n%s$ slipway %s\nexit %d\n%s\n", i+1, c.what, c.shown(), strings.ReplaceAll(c.args, `\x20`, " "), code, neutral(stderr, dir))
		})
	}
	assert.GreaterOrEqual(t, len(cases), 40)
	if t.Failed() && !*update {
		return
	}
	if *update {
		require.NoError(t, os.WriteFile(badInputFile, []byte(all.String()), 0o644))
	}
	golden, err := os.ReadFile(badInputFile)
	require.NoError(t, err, "make it with: go test ./internal/command -run BadInput -update")
	assert.Equal(t, string(golden), all.String())
}

// assertForPeople holds what all messages have in common.
func assertForPeople(t *testing.T, stderr string, code int) {
	t.Helper()
	assert.True(t, strings.HasSuffix(stderr, fmt.Sprintf("(exit %d)\n", code)), "the last line repeats the code")
	assert.NotRegexp(t, `goroutine |panic|\.go:\d+|0x[0-9a-f]{6}|%!`, stderr, "no stack trace, no Go")
	assert.NotContains(t, stderr, "\x1b")
	assert.NotContains(t, stderr, "failed to")
	for line := range strings.Lines(stderr) {
		assert.NotContains(t, strings.TrimSuffix(line, "\n"), "\x00")
	}
}

func (c bad) lay(t *testing.T, dir string) {
	t.Helper()
	base, err := txtar.ParseFile("testdata/bad-input.txtar")
	require.NoError(t, err)
	files := map[string]string{}
	for _, f := range base.Files {
		files[f.Name] = string(f.Data)
	}
	if c.config != "" {
		files["slipway.yaml"] = c.config
	}
	for name, text := range c.files {
		files[name] = text
		if text == "" {
			delete(files, name)
		}
	}
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
}

// run carries out the command where no engine can be had: an input that is taken for a good one ends with exit code 3.
func (c bad) run(t *testing.T) (stdout, stderr string, code int) {
	t.Helper()
	if c.make != nil {
		c.make(t)
	}
	bin := t.TempDir()
	if git, err := exec.LookPath("git"); err == nil {
		require.NoError(t, os.Symlink(git, filepath.Join(bin, "git")))
	}
	env := map[string]string{"PATH": bin, "HOME": bin, "SLIPWAY_CACHE": bin, "SLIPWAY_ENGINE": "docker", "GIT_CEILING_DIRECTORIES": os.TempDir()}
	for name, value := range c.env {
		env[name] = value
	}
	var out, err bytes.Buffer
	var args []string
	for _, arg := range strings.Fields(c.args) {
		args = append(args, strings.ReplaceAll(arg, `\x20`, " "))
	}
	code = command.Run(context.Background(), command.IO{
		Args: args, Stdout: &out, Stderr: &err, Environ: []string{}, Getenv: func(name string) string { return env[name] },
		Size: func() (int, int) { return 0, 0 },
	})
	return out.String(), err.String(), code
}

// shown is the configuration as the golden file has it, when it is what is bad.
func (c bad) shown() string {
	text := c.config
	if len(text) > 600 {
		text = text[:100] + "…\n"
	}
	if text == "" {
		return ""
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '␀'
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
	return "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n"
}

// neutral takes out what differs from machine to machine.
func neutral(text, dir string) string {
	for _, name := range []string{dir, realPath(dir)} {
		text = strings.ReplaceAll(strings.ReplaceAll(text, name, "$DIR"), filepath.Dir(name), "$ABOVE")
	}
	return text
}

func realPath(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	return dir
}

// app is a configuration with one app that has these lines.
func app(lines string) string { return "version: 1\napps:\n  - name: web\n" + lines }

func badInputs() []bad {
	inputs := usageInputs()
	inputs = append(inputs, publishInputs()...)
	inputs = append(inputs, placeInputs()...)
	inputs = append(inputs, fileInputs()...)
	inputs = append(inputs, valueInputs()...)
	return append(inputs, sourceInputs()...)
}

func usageInputs() []bad {
	return []bad{
		{what: "a verb that is misspelt", args: "shp"},
		{what: "a verb that there is not", args: "release production"},
		{what: "a verb below a verb that is misspelt", args: "engine strat"},
		{what: "an argument too many", args: "build ./cmd/web"},
		{what: "a target in place of a flag", args: "build linux/amd64"},
		{what: "a flag that there is not", args: "--speed 9"},
		{what: "a flag that is misspelt", args: "build --targt linux/amd64"},
		{what: "a short flag that there is not", args: "build -z"},
		{what: "a flag of another verb", args: "verify --target linux/amd64"},
		{what: "a flag without its value", args: "build --target"},
		{what: "a switch with a value that is none", args: "--no-cache=maybe"},
		{what: "--timeout: no time", args: "--timeout soon"},
		{what: "--timeout: a number without a unit", args: "--timeout 30"},
		{what: "--timeout: less than nothing", args: "--timeout -5m"},
		{what: "--engine: no engine", args: "--engine podman"},
		{what: "--engine: an address of no kind", args: "--engine http://localhost:8080"},
		{what: "--engine: an address without a host", args: "--engine tcp://"},
		{what: "SLIPWAY_ENGINE: no engine", args: "build", env: map[string]string{"SLIPWAY_ENGINE": "podmann"}},
		{what: "--target: a system that Go does not know", args: "build --target linus/amd64"},
		{what: "--target: a processor that Go does not know there", args: "build --target linux/m68k"},
		{what: "--target: js without wasm", args: "build --target js/amd64"},
		{what: "--target: half of one", args: "build --target linux"},
		{what: "--target: a variant that there is not", args: "build --target linux/arm/v9"},
		{what: "--target: one that no app is built for", args: "build --target plan9/amd64"},
		{what: "--skip: a check that there is not", args: "verify --skip lint"},
		{what: "--skip: a check that is misspelt", args: "--skip vett"},
		{what: "help for a verb that there is not", args: "help release"},
		{what: "deploy: no environment", args: "deploy"},
		{what: "deploy: nothing is configured", args: "deploy prod"},
		{what: "deploy: a variable in the place of -e", args: "deploy prod A=b"},
		{what: "deploy: an environment that there is not", args: "deploy prdo", config: production},
		{what: "deploy: a variable without a value", args: `deploy prod -e NAME -e A\x20B=c`, config: production},
		{what: "deploy: a secret that is not there", args: "deploy prod", config: production + "    secrets: {TOKEN: env://NO_TOKEN, OTHER: file://nowhere.txt}\n"},
		{what: "deploy: an environment file that is not there", args: "deploy prod", config: production + "    envFile: prod.env\n"},
		{what: "deploy: a release, and nothing says where it is", args: "deploy prod --release 1.2.3", config: production},
		{what: "plan: two environments", args: "plan prod staging"},
		{what: "rollback: a flag of deploy", args: "rollback prod --release 1.2.3"},
		{what: "status: too often", args: "status prod --watch --every 1ms"},
		{what: "logs: less than nothing", args: "logs prod --tail -1"},
		{what: "logs: as JSON", args: "logs prod --json"},
	}
}

func placeInputs() []bad {
	return []bad{
		{what: "-C: no such directory", args: "-C nowhere"},
		{what: "-C: a file", args: "-C main.go"},
		{what: "-C: a directory below the module", args: "-C internal/lib"},
		{what: "-C: a directory without anything", args: "-C empty", make: mkdir("empty")},
		{what: "-f: no such file", args: "-f nowhere.yaml"},
		{what: "-f: a directory", args: "-f internal"},
		{what: "a slipway.yml", args: "build", files: map[string]string{"slipway.yml": "version: 1\n"}},
		{what: "slipway.yaml is a directory", args: "build", make: mkdir("slipway.yaml")},
		{what: "slipway.yaml is a link to nothing", args: "build", make: link("gone.yaml", "slipway.yaml")},
		{what: "dist is not ours", args: "build", files: map[string]string{"dist/index.html": "mine"}},
		{what: "--dist: a file", args: "build --dist main.go"},
		{what: "--dist: below a file", args: "build --dist main.go/out"},
		{what: "--dist: a directory of sources", args: "build --dist internal"},
		{what: "--dist: the project itself", args: "build --dist ."},
		{what: "--dist: above the project", args: "build --dist .."},
		{what: "dist is a link to elsewhere", args: "build", make: link("internal", "dist")},
		{what: "the reports in dist are a link to elsewhere", args: "build", files: map[string]string{"dist/.slipway": "x"}, make: link("../internal", "dist/reports")},
	}
}

func fileInputs() []bad {
	return []bad{
		{what: "an empty file", args: "build", config: "\n"},
		{what: "no version", args: "build", config: "verify: {strict: true}\n"},
		{what: "a version of the future", args: "build", config: "version: 2\n"},
		{what: "a version in quotes", args: "build", config: "version: \"1\"\n"},
		{what: "a tab", args: "build", config: "version: 1\nverify:\n\tstrict: true\n"},
		{what: "a bracket that is not closed", args: "build", config: "version: 1\nverify: {strict: true\n"},
		{what: "a list at the top", args: "build", config: "- version: 1\n"},
		{what: "JSON that is cut off", args: "build", config: "{\"version\": 1, \"apps\": ["},
		{what: "no text", args: "build", config: "\x7fELF\x02\x01\x01\x00\xff\xfe"},
		{what: "UTF-16", args: "build", config: "\xff\xfev\x00e\x00r\x00"},
		{what: "a file of a megabyte", args: "build", config: "version: 1\n" + strings.Repeat("# nothing\n", 100_000)},
		{what: "nested a thousand deep", args: "build", config: "version: 1\napps: " + strings.Repeat("[", 1000)},
		{what: "nested hundreds deep by indentation", args: "build", config: "version: 1\n" + deep(300)},
		{what: "a bomb of aliases", args: "build", config: "version: 1\na: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\napps: *c\n"},
		{what: "two documents", args: "build", config: "version: 1\n---\nversion: 1\n"},
		{what: "an unresolved merge conflict", args: "build", config: "version: 1\n<<<<<<< HEAD\nverify: {strict: true}\n=======\nverify: {strict: false}\n>>>>>>> topic\n"},
		{what: "everything at once", args: "build", config: "version: 1\nverfiy: {strict: true}\ngo: {version: 1.26}\napps:\n  - name: My App\n    targets: [linux/amd63, linux/amd64, linux/amd64]\n    build: {link: dynamic, cgo: yes}\n    service: {port: 99999, helath: /}\n  - name: My App\n  - dir: nowhere\n"},
		{what: "environments", args: "build", config: "version: 1\nenvironments: {prod: {driver: host}}\n"},
		{what: "a key in the wrong place", args: "build", config: "version: 1\nport: 8080\n"},
	}
}

func valueInputs() []bad {
	return []bad{
		{what: "names that are paths, flags, spaces and worse", args: "build", config: "version: 1\napps:\n  - name: ../../etc\n  - name: a/b\n  - name: -rf\n  - name: my app\n  - name: \"a\\nb\"\n  - name: \"a\\0b\"\n  - name: größe\n  - name: " + strings.Repeat("x", 64) + "\n  - name: \"\"\n  - name: $(reboot)\n"},
		{what: "two apps of one name", args: "build", config: "version: 1\napps:\n  - name: web\n  - name: web\n"},
		{what: "a variable that no flag can carry", args: "build", config: app("    vars: {main.version: \"it's a \\\"word\\\"\"}\n")},
		{what: "a variable of two lines", args: "build", config: app("    vars: {main.version: \"a\\nb\"}\n")},
		{what: "a variable that main does not declare", args: "build", config: app("    vars: {main.verison: x}\n")},
		{what: "a template with a value that there is not", args: "build", config: app("    vars: {main.version: \"{{.Versoin}}\"}\n")},
		{what: "a flag whose quote is not closed", args: "build", config: app("    build: {ldflags: [\"-X 'main.version=a b\"]}\n")},
		{what: "an environment that another key decides", args: "build", config: app("    build: {env: {GOOS: linux, CGO_ENABLED: \"1\", \"A=B\": c, D: \"\\0\"}}\n")},
		{what: "labels without a usable name or value", args: "build", config: app("    image: {labels: {\"a b\": c, \"\": d, e: \"\\0\", f: 1}}\n")},
		{what: "targets that Go does not build", args: "build", config: app("    targets: [linux/m68k, js/amd64, macos/arm64]\n")},
		{what: "an empty list of targets", args: "build", config: app("    targets: []\n")},
		{what: "cgo for other systems", args: "build", config: app("    build: {cgo: true}\n    targets: [linux/amd64, windows/amd64]\n")},
		{what: "cgo without targets", args: "build", config: app("    build: {cgo: true}\n")},
		{what: "an image with a tag and a scheme", args: "build", config: app("    image: {repository: \"https://registry.example.org/acme/web:latest\", user: root}\n")},
		{what: "a service without a port", args: "build", config: app("    service: {health: health, grace: 10}\n")},
		{what: "a Go that is too old", args: "build", config: "version: 1\ngo: {version: \"1.20\"}\n"},
		{what: "a Go that there is not", args: "build", config: "version: 1\ngo: {version: latest}\n"},
		{what: "an app in a directory that is not there", args: "build", config: app("    dir: cmd/wbe\n")},
		{what: "an app outside of the project", args: "build", config: app("    dir: ../../etc\n")},
		{what: "an app that is a library", args: "build", config: app("    dir: internal/lib\n")},
		{what: "a module to verify that is none", args: "verify", config: "version: 1\nverify: {modules: [internal]}\n"},
		{what: "coverage of more than all", args: "verify", config: "version: 1\nverify: {coverage: {min: 700}}\n"},
		{what: "a vulnerability that is ignored without a reason", args: "verify", config: "version: 1\nverify: {vuln: {ignore: [{id: GO-2024-2687, until: tomorrow}]}}\n"},
	}
}

func sourceInputs() []bad {
	return []bad{
		{what: "no go.mod", args: "build", files: map[string]string{"go.mod": ""}},
		{what: "no program", args: "build", files: map[string]string{"main.go": "package web\n"}},
		{what: "a library, and a target", args: "build --target linux/amd64", files: map[string]string{"main.go": "package web\n"}},
		{what: "the only program needs cgo", args: "build", files: map[string]string{"main.go": "package main\n\nimport \"C\"\n\nfunc main() {}\n"}},
		{what: "the only program is an example", args: "image", files: map[string]string{"main.go": "package web\n", "examples/hello/main.go": "package main\n\nfunc main() {}\n"}},
		{what: "a go.mod that cannot be read", args: "build", files: map[string]string{"go.mod": "module example.org/web\n\ngo one\n"}},
		{what: "a go.mod without a module line", args: "build", files: map[string]string{"go.mod": "go 1.25\n"}},
		{what: "a go.mod with an unresolved merge conflict", args: "build", files: map[string]string{"go.mod": "module example.org/web\n<<<<<<< HEAD\ngo 1.24\n=======\ngo 1.25\n>>>>>>> topic\n"}},
		{what: "no go.sum", args: "build", files: map[string]string{"go.mod": "module example.org/web\n\ngo 1.25\n\nrequire example.org/dep v1.2.3\n"}},
		{what: "a go.work that uses what is not there", args: "build", files: map[string]string{"go.work": "go 1.25\n\nuse (\n\t.\n\t./api\n)\n"}},
		{what: "a go.work that cannot be read", args: "build", files: map[string]string{"go.work": "go 1.25\n\nusing .\n"}},
		{what: "a replaced module outside of the project", args: "build", files: map[string]string{"go.mod": "module example.org/web\n\ngo 1.25\n\nreplace example.org/dep => ../dep\n"}},
		{what: "a go.mod that is a pipe", args: "build", files: map[string]string{"go.mod": ""}, make: fifo("go.mod")},
	}
}

// deep is a mapping in a mapping in a mapping.
func deep(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func mkdir(name string) func(*testing.T) {
	return func(t *testing.T) { require.NoError(t, os.Mkdir(name, 0o755)) }
}

func link(to, name string) func(*testing.T) {
	return func(t *testing.T) { require.NoError(t, os.Symlink(to, name)) }
}

func fifo(name string) func(*testing.T) {
	return func(t *testing.T) {
		if _, err := exec.LookPath("mkfifo"); err != nil {
			t.Skip("this system has no mkfifo")
		}
		require.NoError(t, exec.Command("mkfifo", name).Run())
	}
}

// publishing is a slipway.yaml whose image has a place, with more of it.
func publishing(image, more string) string {
	return "version: 1\napps:\n  - name: web\n    image: {repository: registry.example.org/team/web" + image + "}\n" + more
}

func publishInputs() []bad {
	password := map[string]string{"SLIPWAY_REGISTRY_PASSWORD": "hunter2"}
	nobody := map[string]string{"SIGSTORE_ID_TOKEN": "", "GITHUB_ACTIONS": "", "GITLAB_CI": ""}
	return []bad{
		{what: "publish: nothing says where", args: "publish"},
		{what: "publish: a target", args: "publish --target linux/amd64"},
		{what: "publish: a repository without a registry", args: "publish", config: "version: 1\napps:\n  - name: web\n    image: {repository: team/web}\n"},
		{what: "publish: a repository with a tag", args: "publish", config: "version: 1\napps:\n  - name: web\n    image: {repository: \"registry.example.org/team/web:1\"}\n"},
		{what: "publish: two apps, one repository", args: "publish", config: publishing("", "  - name: other\n    main: .\n    image: {repository: registry.example.org/team/web}\n")},
		{what: "publish: no image", args: "publish", config: "version: 1\napps:\n  - name: web\n    targets: [windows/amd64]\n    image: {repository: registry.example.org/team/web}\n"},
		{what: "publish: a tag that is none", args: "publish", config: publishing(`, tags: ["a/b", "{{.Vresion}}", "{{.Version}}"]`, "")},
		{what: "publish: no tags", args: "publish", config: publishing(", tags: []", "")},
		{what: "publish: a registry that is an address", args: "publish", config: publishing("", "publish: {registries: {\"https://registry.example.org\": {http: true}}}\n")},
		{what: "publish: certificates that are not there", args: "publish", config: publishing("", "publish: {registries: {registry.example.org: {ca: ca.pem}}}\n")},
		{what: "publish: certificates without TLS", args: "publish", config: publishing("", "publish: {registries: {registry.example.org: {http: true, ca: main.go}}}\n")},
		{what: "publish: an identity without a user", args: "publish", config: publishing("", "publish: {registries: {registry.example.org: {oidc: {audience: team}}}}\n")},
		{what: "publish: a key in the file", args: "publish", config: publishing("", "publish: {sign: {key: hunter2}}\n")},
		{what: "publish: a password without a key", args: "publish", config: publishing("", "publish: {sign: {password: env://PASSWORD}}\n")},
		{what: "publish: a key, and keyless", args: "publish", config: publishing("", "publish: {sign: {key: env://KEY, keyless: {}}}\n")},
		{what: "publish: keyless, and nobody says who signs", args: "publish", config: publishing("", "publish: {sign: {keyless: {}}}\n"), env: nobody},
		{what: "publish: keyless in a job that may not say who it is", args: "publish", config: publishing("", "publish: {sign: {keyless: {}}}\n"), env: map[string]string{
			"GITHUB_ACTIONS": "true", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "", "SIGSTORE_ID_TOKEN": "",
		}},
		{what: "publish: keyless with an authority alone", args: "publish", config: publishing("", "publish: {sign: {keyless: {fulcio: \"https://fulcio.example.org\"}}}\n")},
		{what: "publish: keyless without its root", args: "publish", config: publishing("", "publish: {sign: {keyless: {fulcio: \"https://fulcio.example.org\", rekor: \"https://rekor.example.org\"}}}\n")},
		{what: "publish: keyless with a root that is none", args: "publish", config: publishing("", "publish: {sign: {keyless: {root: main.go}}}\n"), env: map[string]string{"SIGSTORE_ID_TOKEN": "aaaa.bbbb.cccc"}},
		{what: "publish: keyless with a token that is none", args: "publish", config: publishing("", "publish: {sign: {keyless: {}}}\n"), env: map[string]string{"SIGSTORE_ID_TOKEN": "hunter2"}},
		{what: "verify-release: keyless, and nobody is trusted", args: "verify-release registry.example.org/team/web:1", config: publishing("", "publish: {sign: {keyless: {}}}\n")},
		{what: "publish: a password without its registry", args: "publish", config: publishing("", ""), env: password},
		{what: "publish: a password without a user", args: "publish", config: publishing("", ""), env: map[string]string{
			"SLIPWAY_REGISTRY_PASSWORD": "hunter2", "SLIPWAY_REGISTRY_HOST": "registry.example.org",
		}},
		{what: "publish: a password that cannot be hidden", args: "publish", config: publishing("", ""), env: map[string]string{
			"SLIPWAY_REGISTRY_PASSWORD": "abc", "SLIPWAY_REGISTRY_HOST": "registry.example.org", "SLIPWAY_REGISTRY_USERNAME": "ada",
		}},
		{what: "publish: no token for GitHub", args: "publish", config: publishing("", "publish: {github: {repository: team/web}}\n"), env: map[string]string{"GITHUB_TOKEN": ""}, make: tagged("v1.0.0")},
		{what: "publish: a repository on GitHub that is an address", args: "publish", config: publishing("", "publish: {github: {repository: \"https://github.com/team/web\"}}\n")},
		{what: "publish: a format of packages that there is not", args: "publish", config: publishing("", "    packages: {formats: [dep]}\n")},
		{what: "publish: packages without linux", args: "build", config: "version: 1\napps:\n  - name: web\n    targets: [windows/amd64]\n    packages: {}\n"},
		{what: "verify-release: no image", args: "verify-release"},
		{what: "verify-release: no tag", args: "verify-release registry.example.org/team/web --key main.go"},
		{what: "verify-release: nobody is trusted", args: "verify-release registry.example.org/team/web:1"},
		{what: "verify-release: a key that is none", args: "verify-release registry.example.org/team/web:1 --key main.go"},
		{what: "verify-release: a key that is not there", args: "verify-release registry.example.org/team/web:1 --key gone.pub"},
		{what: "verify-release: half an identity", args: "verify-release registry.example.org/team/web:1 --identity ada@example.org"},
		{what: "verify-release: a root that is none", args: "verify-release registry.example.org/team/web:1 --identity ada@example.org --issuer https://example.org --root main.go"},
		{what: "publish: a credential helper that is not there", args: "publish", config: publishing("", ""), env: map[string]string{"DOCKER_CONFIG": ".docker"},
			files: map[string]string{".docker/config.json": `{"credHelpers": {"registry.example.org": "missing"}}`}},
	}
}

// tagged makes a repository of the project, with a tag.
func tagged(tag string) func(*testing.T) {
	return func(t *testing.T) {
		if _, err := exec.LookPath("git"); err != nil {
			t.Skip("git is not installed")
		}
		for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "all"}, {"tag", tag}} {
			require.NoError(t, exec.Command("git", args...).Run(), args)
		}
	}
}
