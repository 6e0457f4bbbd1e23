package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/ci/target"
)

// files are the files of a generated repository.
type files map[string]string

// tinyProgram is what a quick run builds.
func tinyProgram(targets []target.Target) files {
	all := smallService(targets)
	all["main.go"] = "// Package main says hello.\npackage main\n\nimport (\n\t\"os\"\n\n\t\"example.com/small/hello\"\n)\n\nfunc main() { _, _ = os.Stdout.WriteString(hello.Say()) }\n"
	return all
}

// smallService is a service that needs the standard library alone.
func smallService(targets []target.Target) files {
	return files{
		"go.mod":       "module example.com/small\n\ngo 1.25\n",
		"main.go":      smallMain("example.com/small/hello"),
		"hello/say.go": "// Package hello says hello.\npackage hello\n\n// Say says it.\nfunc Say() string { return \"hello\" }\n",
		"slipway.yaml": config([]string{"."}, targets),
	}
}

// manyServices is a repository with many programs that share packages.
func manyServices(n int, targets []target.Target) files {
	all := files{"go.mod": "module example.com/many\n\ngo 1.25\n"}
	for i := range 10 {
		name := fmt.Sprintf("part%d", i)
		all[name+"/say.go"] = fmt.Sprintf("// Package %s is shared.\npackage %s\n\n// Say says it.\nfunc Say() string { return %q }\n", name, name, name)
	}
	var mains []string
	for i := range n {
		dir := fmt.Sprintf("cmd/service%02d", i)
		mains = append(mains, "./"+dir)
		all[dir+"/main.go"] = smallMain(fmt.Sprintf("example.com/many/part%d", i%10))
	}
	all["slipway.yaml"] = config(mains, targets)
	return all
}

// smallMain serves what a package says.
func smallMain(imported string) string {
	return fmt.Sprintf(`// A service.
package main

import (
	"fmt"
	"net/http"
	"os"

	said %q
)

func main() {
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, said.Say()) })
	if err := http.ListenAndServe(":8080", nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
`, imported)
}

// config is a slipway.yaml; without targets it leaves them to be inferred.
func config(mains []string, targets []target.Target) string {
	var text strings.Builder
	text.WriteString("version: 1\n\napps:\n")
	for _, main := range mains {
		fmt.Fprintf(&text, "  - name: %s\n    main: %s\n", appName(main), main)
		if len(targets) > 0 {
			fmt.Fprintf(&text, "    targets: [%s]\n", joined(targets))
		}
	}
	return text.String()
}

func appName(main string) string {
	if main == "." {
		return "small"
	}
	return path.Base(main)
}

func joined(targets []target.Target) string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
}

// bulk writes so many megabytes that no build reads, in files that nothing compresses.
func bulk(dir string, megabytes int) error {
	assets := filepath.Join(dir, "assets")
	if err := os.MkdirAll(assets, 0o755); err != nil {
		return err
	}
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 1<<20)
	for i := range megabytes {
		_, _ = random.Read(data) // it never fails
		if err := os.WriteFile(filepath.Join(assets, fmt.Sprintf("%04d.bin", i)), data, 0o644); err != nil {
			return fmt.Errorf("write files that no build reads: %w", err)
		}
	}
	return nil
}

// commitFiles makes a repository of files.
func commitFiles(ctx context.Context, dir string, all files) error {
	for name, text := range all {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return fmt.Errorf("write a project: %w", err)
		}
	}
	return commitAll(ctx, dir)
}

// commitAll makes a repository of a directory, always with the same commit.
func commitAll(ctx context.Context, dir string) error {
	if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("dist/\n"), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"config", "user.name", "bench"}, {"config", "user.email", "bench@example.com"},
		{"config", "commit.gpgsign", "false"}, {"config", "core.looseCompression", "0"}, {"add", "-A"}, {"commit", "-q", "-m", "all of it"}, {"tag", "v1.0.0"},
	} {
		if err := git(ctx, dir, args...); err != nil {
			return err
		}
	}
	return nil
}

// git runs git at a fixed time.
func git(ctx context.Context, dir string, args ...string) error {
	const then = "2026-01-01T00:00:00Z"
	_, err := process{dir: dir, env: environ("GIT_AUTHOR_DATE="+then, "GIT_COMMITTER_DATE="+then), argv: append([]string{"git"}, args...)}.run(ctx)
	return err
}

// remake makes a directory, and empty. The go command makes modules read-only.
func remake(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("empty %s: %w", dir, err)
	}
	return os.MkdirAll(dir, 0o755)
}

func cut(kv string) (name, value string) {
	name, value, _ = strings.Cut(kv, "=")
	return name, value
}
