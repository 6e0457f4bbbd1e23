package command_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/internal/command"
)

// The test's program is also the command, as a process of its own, and what that makes of copies of itself.
func TestMain(m *testing.M) {
	if handled, code := embedded.Main(os.Args[1:]); handled {
		os.Exit(code)
	}
	testscript.Main(m, map[string]func(){"slipway": func() { os.Exit(command.Main(command.System())) }, "godev": serveGo})
}

// The whole command without an engine: what it prints where, and how it ends. -update rewrites what the scripts compare with.
func TestScripts(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed")
	}
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			bin := filepath.Join(env.WorkDir, ".bin")
			env.Setenv("BIN", bin)
			env.Setenv("SLIPWAY_CACHE", filepath.Join(env.WorkDir, ".cache"))
			for _, name := range []string{"SLIPWAY_ENGINE", "DAGGER_SESSION_PORT", "_EXPERIMENTAL_DAGGER_RUNNER_HOST", "NO_COLOR", "CI"} {
				env.Setenv(name, "")
			}
			return isolate(bin, git)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "json": jsonHas},
	})
}

// isolate makes a directory for PATH in which there is slipway, git and a go command that takes its time, and no container runtime.
func isolate(bin, git string) error {
	slipway, err := exec.LookPath("slipway")
	if err != nil {
		return err
	}
	return errors.Join(
		os.Mkdir(bin, 0o755),
		os.Symlink(slipway, filepath.Join(bin, "slipway")),
		os.Symlink(git, filepath.Join(bin, "git")),
		os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\nexec /bin/sleep 60\n"), 0o755),
	)
}

// exits CODE COMMAND ARGS… runs a command that must end with an exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// json NAME=VALUE… holds the document that the last command printed against some of its fields; names are paths: stages.0.name.
func jsonHas(ts *testscript.TestScript, neg bool, args []string) {
	var document any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &document))
	for _, arg := range args {
		path, want, ok := strings.Cut(arg, "=")
		if !ok {
			ts.Fatalf("usage: json NAME=VALUE…")
		}
		got, err := json.Marshal(lookup(document, strings.Split(path, ".")))
		ts.Check(err)
		if (string(got) == want) == neg {
			ts.Fatalf("%s is %s, want %s", path, got, want)
		}
	}
}

func lookup(value any, path []string) any {
	for _, name := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		}
	}
	return value
}
