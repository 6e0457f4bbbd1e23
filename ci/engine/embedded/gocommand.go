package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// minimumGo is the go line of the modules that are built.
const minimumGo = "1.25.5"

// goCommand is the go command of this machine, with an environment in which only our choices count.
type goCommand struct {
	path     string
	env      []string
	Version  string `json:"GOVERSION"`
	Root     string `json:"GOROOT"`
	Modules  string `json:"GOMODCACHE"`
	Cache    string `json:"GOCACHE"`
	HostOS   string `json:"GOHOSTOS"`
	HostArch string `json:"GOHOSTARCH"`
}

func findGo(ctx context.Context, cache string, environ []string) (goCommand, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return goCommand{}, fmt.Errorf("the engine is built with the go command, which is not on PATH: install Go %s or newer, https://go.dev/dl", minimumGo)
	}
	g := goCommand{path: path, env: goEnv(environ, cache)}
	out, err := g.run(ctx, "", g.env, "env", "-json", "GOVERSION", "GOROOT", "GOMODCACHE", "GOCACHE", "GOHOSTOS", "GOHOSTARCH")
	if err != nil {
		return goCommand{}, fmt.Errorf("ask the go command for its version: %w", err)
	}
	if err := json.Unmarshal([]byte(out), &g); err != nil {
		return goCommand{}, fmt.Errorf("read output of go env: %w", err)
	}
	if !newEnough(g.Version) {
		return goCommand{}, fmt.Errorf("%s is %s, the engine needs Go %s or newer: https://go.dev/dl", path, g.Version, minimumGo)
	}
	return g, nil
}

// newEnough accepts what is not a release (devel …): whoever builds Go knows why.
func newEnough(version string) bool {
	v := "v" + strings.TrimPrefix(strings.Fields(version + " ")[0], "go")
	return !semver.IsValid(v) || semver.Compare(v, "v"+minimumGo) >= 0
}

// goEnv is environ without what would change the bits or the sums that are checked.
// GOPROXY, GOPRIVATE, GOAUTH, HTTP proxies and the like stay: they say how this machine reaches modules.
func goEnv(environ []string, cache string) []string {
	drop := []string{"GOFLAGS", "GOOS", "GOARCH", "GOAMD64", "GOARM", "GOARM64", "GOEXPERIMENT", "GODEBUG", "GOWORK", "GO111MODULE", "GOTOOLCHAIN",
		"GONOSUMDB", "GONOSUMCHECK", "GOINSECURE", "GOROOT", "GOBIN", "CC", "CXX", "PKG_CONFIG", "PWD", "MAKEFLAGS"}
	env := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return slices.Contains(drop, key) || strings.HasPrefix(key, "CGO_")
	})
	env = append(env, "GOFLAGS=-mod=readonly", "GOTOOLCHAIN=local", "GOWORK=off", "GO111MODULE=on", "CGO_ENABLED=0")
	if !has(env, "HOME") && !has(env, "GOCACHE") {
		env = append(env, "GOCACHE="+filepath.Join(cache, "go-build"), "GOPATH="+filepath.Join(cache, "go"))
	}
	return env
}

func has(env []string, key string) bool {
	return slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, key+"=") })
}

func (g goCommand) platform() string { return g.HostOS + "/" + g.HostArch }

func (g goCommand) run(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, g.path, args...)
	cmd.Dir = dir
	cmd.Env = env
	return output(cmd)
}

// output runs the command; an error ends with the last lines that the command wrote.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return stdout.String(), nil
	}
	tail := lastLines(stderr.String()+stdout.String(), 20)
	if errors.Is(err, exec.ErrNotFound) || tail == "" {
		return "", err
	}
	return "", fmt.Errorf("%s: %w:\n%s", filepath.Base(cmd.Path)+" "+firstArgument(cmd.Args), err, tail)
}

func firstArgument(args []string) string {
	if len(args) < 2 {
		return ""
	}
	return args[1]
}

// goLayerOf makes a layer of programs that need no C compiler.
func (g goCommand) layer(spec goLayer) (layer, error) {
	key, err := spec.key(g.Version, g.platform())
	return layer{name: spec.name, title: spec.title, key: key, build: func(ctx context.Context, dir string) error {
		return g.buildPrograms(ctx, spec, dir)
	}}, err
}

func (g goCommand) buildPrograms(ctx context.Context, spec goLayer, dir string) error {
	work, err := os.MkdirTemp(dir, ".work-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := writeModule(spec.module, work); err != nil {
		return fmt.Errorf("write module: %w", err)
	}
	if len(spec.patches) > 0 {
		if err := g.patchModule(ctx, work, daggerPackage, spec.patches); err != nil {
			return err
		}
	}
	if _, err := g.run(ctx, work, g.env, spec.buildArguments(work)...); err != nil {
		return err
	}
	return spec.install(work, dir)
}

func (g goLayer) buildArguments(work string) []string {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", g.ldflags, "-tags", g.tags, "-o", filepath.Join(work, "bin") + string(filepath.Separator)}
	for _, p := range g.programs {
		args = append(args, p.pkg)
	}
	return args
}

// install moves the programs from where go build wrote them, under the last element of their path, to their places.
func (g goLayer) install(work, dir string) error {
	for _, p := range g.programs {
		built := filepath.Join(work, "bin", filepath.Base(p.pkg)+exeSuffix)
		target := filepath.Join(dir, filepath.FromSlash(p.path)+exeSuffix)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.Rename(built, target); err != nil {
			return fmt.Errorf("install %s: %w", p.path, err)
		}
	}
	return nil
}

// inherited is the environment that a command of ours gets by itself: proxies, credentials' helpers, PATH.
func inherited() []string { return exec.Command("go").Environ() }
