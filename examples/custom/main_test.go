package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestItIsShort(t *testing.T) {
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	assert.Less(t, bytes.Count(source, []byte("\n")), 40)
}

// The program as a user runs it, on a copy of the app.
func TestItShipsWhatTheGeneratorWrites(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs an engine: run without -short")
	}
	dir := t.TempDir()
	app, program := filepath.Join(dir, "app"), filepath.Join(dir, "custom")
	require.NoError(t, os.CopyFS(app, os.DirFS("app")))
	require.NoError(t, os.RemoveAll(filepath.Join(app, "dist")))
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)

	out, err = exec.CommandContext(t.Context(), program, app).CombinedOutput()
	require.NoError(t, err, "%s", out)

	binary := filepath.Join(app, "dist", runtime.GOOS+"_"+runtime.GOARCH, "harbour")
	printed, err := exec.CommandContext(t.Context(), binary).Output()
	require.NoError(t, err)
	assert.Equal(t, "Cutty Sark\nThermopylae\n", string(printed))
	assert.NoFileExists(t, filepath.Join(app, "ships.go"), "the generator's files stay in the engine")
}
