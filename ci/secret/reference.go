package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	// maxSize is more than any key or password has.
	maxSize = 64 << 10
	// commandTime is how long a command may take, that of a password manager
	// which asks its server for instance.
	commandTime = 30 * time.Second
)

// Reference is a place where a secret is kept. It may be printed.
type Reference struct{ kind, rest string }

// Source is what references are read from.
type Source struct {
	// Getenv reads a variable.
	Getenv func(string) string
	// Environ is the environment of commands.
	Environ []string
	// Dir is what files are relative to, and where commands run.
	Dir string
}

// Parse reads a reference. The error never repeats what was written: it may be
// the secret itself.
func Parse(text string) (Reference, error) {
	kind, rest, ok := strings.Cut(text, "://")
	switch {
	case text == "":
		return Reference{}, errors.New("is empty: write env://NAME, file://PATH or cmd://COMMAND")
	case !ok || (kind != "env" && kind != "file" && kind != "cmd"):
		return Reference{}, errors.New("is not the place of a secret: write env://NAME, file://PATH or cmd://COMMAND, and keep the secret itself out of the configuration")
	case kind == "env" && !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(rest):
		return Reference{}, errors.New("names no variable: write env://NAME, with letters, digits and _")
	case strings.TrimSpace(rest) == "" || strings.ContainsRune(rest, 0):
		return Reference{}, fmt.Errorf("names nothing: write %s:// and what follows it", kind)
	}
	return Reference{kind, rest}, nil
}

// IsZero says whether the reference is to nothing.
func (r Reference) IsZero() bool { return r == Reference{} }

func (r Reference) String() string {
	if r.IsZero() {
		return ""
	}
	return r.kind + "://" + r.rest
}

// File is the file that holds the secret, where a file does.
func (r Reference) File(dir string) (path string, ok bool) {
	if r.kind != "file" {
		return "", false
	}
	return r.path(dir), true
}

// MarshalText writes the reference as the configuration has it.
func (r Reference) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Read gets the secret. The error names the place and never the secret.
func (r Reference) Read(ctx context.Context, s Source) (string, error) {
	value, err := r.read(ctx, s)
	if err != nil {
		return "", fmt.Errorf("read secret %s: %w", r, err)
	}
	if value == "" {
		return "", fmt.Errorf("read secret %s: there is nothing: %s", r, r.next())
	}
	return value, nil
}

func (r Reference) read(ctx context.Context, s Source) (string, error) {
	switch r.kind {
	case "env":
		if s.Getenv == nil {
			return "", nil
		}
		return s.Getenv(r.rest), nil
	case "file":
		return readFile(r.path(s.Dir))
	case "cmd":
		return run(ctx, s, r.rest)
	}
	return "", errors.New("it names no place")
}

func (r Reference) next() string {
	if r.kind == "env" {
		return "set " + r.rest
	}
	return "put the secret there"
}

func (r Reference) path(dir string) string {
	if filepath.IsAbs(r.rest) {
		return r.rest
	}
	return filepath.Join(dir, filepath.FromSlash(r.rest))
}

func readFile(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errors.New("there is no such file: put the secret there")
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", errors.New("it is not a file")
	case info.Size() > maxSize:
		return "", fmt.Errorf("it has more than %d KiB: is it the file that was meant?", maxSize>>10)
	}
	data, err := os.ReadFile(path)
	return withoutBreak(data), err
}

// run gives what a command prints. What it says on standard error is left out
// of the error: nobody knows what a password manager writes there.
func run(ctx context.Context, s Source, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir, cmd.Env, cmd.WaitDelay = s.Dir, s.Environ, time.Second
	out := &limited{}
	cmd.Stdout = out
	err := cmd.Run()
	switch {
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return "", fmt.Errorf("the command takes longer than %s: does it wait for input?", commandTime)
	case err != nil:
		return "", fmt.Errorf("the command fails (%w): try it in a terminal", err)
	case out.over:
		return "", fmt.Errorf("the command prints more than %d KiB: is it the one that was meant?", maxSize>>10)
	}
	return withoutBreak(out.kept), nil
}

// limited keeps the beginning of what is written to it.
type limited struct {
	kept []byte
	over bool
}

func (l *limited) Write(p []byte) (int, error) {
	if len(l.kept)+len(p) > maxSize {
		l.over = true
		return len(p), nil
	}
	l.kept = append(l.kept, p...)
	return len(p), nil
}

var _ io.Writer = (*limited)(nil)

func withoutBreak(data []byte) string {
	return string(bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r")))
}
