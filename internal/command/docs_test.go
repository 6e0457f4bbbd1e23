package command_test

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/ship"
	"github.com/slipway-ci/slipway/internal/command"
)

var update = flag.Bool("update", false, "rewrite docs/cli.md")

// repository is the root of this repository.
const repository = "../.."

// readmes are the same text in two languages.
var readmes = []string{"README.md", "README.zh-CN.md"}

func TestCLIReference(t *testing.T) {
	got := reference(tree())
	file := filepath.Join(repository, "docs", "cli.md")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "docs/cli.md is behind the code: go test ./internal/command -run CLIReference -update")
}

func TestReadmeCommands(t *testing.T) {
	for _, name := range readmes {
		for _, line := range commandLines(t, name) {
			t.Run(name+"/"+line, func(t *testing.T) { checkCommand(t, line) })
		}
	}
}

// checkCommand holds one shell command of a README against what it calls.
func checkCommand(t *testing.T, line string) {
	words := shellWords(line)
	switch first := words[0]; first {
	case "slipway", "bin/slipway":
		parse(t, words[1:])
	case "make":
		for _, target := range words[1:] {
			if !strings.Contains(target, "=") {
				assert.Contains(t, makeTargets(t), target)
			}
		}
	case "go":
		for _, word := range words[1:] {
			if strings.HasPrefix(word, "./") {
				assert.DirExists(t, filepath.Join(repository, strings.TrimSuffix(word, "...")))
			}
		}
	}
}

func TestMakeTargetsExist(t *testing.T) {
	for _, name := range documents(t) {
		for _, found := range regexp.MustCompile("`make ([a-z-]+)").FindAllStringSubmatch(prose(t, name), -1) {
			assert.Contains(t, makeTargets(t), found[1], "%s names make %s", name, found[1])
		}
	}
}

func TestReadmeNamesEveryVerb(t *testing.T) {
	for _, name := range readmes {
		text := read(t, name)
		for _, verb := range tree().Commands() {
			if verb.Name() != "help" {
				assert.Contains(t, text, "`"+verb.Name()+"`", "%s says nothing about %s", name, verb.CommandPath())
			}
		}
	}
}

func TestReadmeFlags(t *testing.T) {
	for _, name := range readmes {
		for _, row := range regexp.MustCompile("(?m)^\\| `-.*$").FindAllString(read(t, name), -1) {
			for _, long := range regexp.MustCompile(`--[a-z-]+`).FindAllString(strings.Split(row, " | ")[0], -1) {
				assert.True(t, hasFlag(tree(), long[2:]), "%s names %s, which is no flag", name, long)
			}
		}
		for _, long := range regexp.MustCompile(`--[a-z-]+`).FindAllString(tree().LocalFlags().FlagUsages(), -1) {
			assert.Contains(t, read(t, name), long, "%s says nothing about %s", name, long)
		}
	}
}

func TestReadmeExitCodes(t *testing.T) {
	for _, name := range readmes {
		for _, code := range []int{ship.ExitOK, ship.ExitFailed, ship.ExitUsage, ship.ExitNoEngine, ship.ExitInterrupted} {
			assert.Contains(t, read(t, name), fmt.Sprintf("\n| %d | ", code), "%s: a row for exit code %d", name, code)
		}
	}
}

// The example of slipway.yaml must be one that can be used.
func TestReadmeConfiguration(t *testing.T) {
	for _, block := range codeBlocks(t, "README.md") {
		if block.language != "yaml" {
			continue
		}
		dir := t.TempDir()
		for name, text := range map[string]string{
			"slipway.yaml":      block.text,
			"go.mod":            "module example.com/hello\n\ngo 1.25\n",
			"cmd/hello/main.go": "package main\n\nvar version = \"\"\n\nfunc main() { println(version) }\n",
		} {
			file := filepath.Join(dir, filepath.FromSlash(name))
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		}
		_, err := project.Load(t.Context(), project.Options{Source: dir, PinnedGo: ship.PinnedGo})
		assert.NoError(t, err)
	}
}

func TestReadmesAreInStep(t *testing.T) {
	assert.Equal(t, codeBlocks(t, readmes[0]), codeBlocks(t, readmes[1]), "the code blocks of both READMEs")
	assert.Equal(t, headingLevels(t, readmes[0]), headingLevels(t, readmes[1]), "the headings of both READMEs")
}

func TestLinksLeadToFiles(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, name := range documents(t) {
		for _, found := range link.FindAllStringSubmatch(prose(t, name), -1) {
			_, err := os.Stat(filepath.Join(repository, filepath.Dir(name), filepath.FromSlash(found[1])))
			assert.NoError(t, err, "%s links to %s", name, found[1])
		}
	}
}

// Every record of a decision is in the index.
func TestDecisionsAreListed(t *testing.T) {
	index := read(t, "docs/adr/README.md")
	for _, name := range documents(t) {
		if base := filepath.Base(name); strings.HasPrefix(name, "docs/adr/") && base != "README.md" {
			assert.Contains(t, index, "("+base+")")
		}
	}
}

// tree is the command as it is when nothing around it is set.
func tree() *cobra.Command {
	return command.Tree(command.IO{Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" }})
}

// parse carries out a command line up to the point where it would do something.
func parse(t *testing.T, args []string) {
	t.Helper()
	root := tree()
	cmd, rest, err := root.Find(args)
	require.NoError(t, err)
	require.NoError(t, cmd.ParseFlags(rest))
	assert.NoError(t, cmd.ValidateArgs(cmd.Flags().Args()))
}

// hasFlag tells whether a command or one below it has a flag.
func hasFlag(cmd *cobra.Command, name string) bool {
	return cmd.Flags().Lookup(name) != nil || cmd.PersistentFlags().Lookup(name) != nil ||
		slices.ContainsFunc(cmd.Commands(), func(sub *cobra.Command) bool { return hasFlag(sub, name) })
}

// reference is the text of docs/cli.md.
func reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# The command\n\nMade from the code by `go test ./internal/command -run CLIReference -update`. The exit codes and the environment are\nin the [README](../README.md).\n")
	describe(&b, root)
	return b.String()
}

func describe(b *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n", cmd.CommandPath())
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(b, "```text\n%s\n\n%s", strings.TrimSpace(text), usage(cmd))
	if flags := ownFlags(cmd); flags != "" {
		fmt.Fprintf(b, "\nFlags:\n%s", flags)
	}
	b.WriteString("```\n")
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			describe(b, sub)
		}
	}
}

func usage(cmd *cobra.Command) string {
	line := "Usage: " + cmd.UseLine() + "\n"
	var verbs []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			verbs = append(verbs, fmt.Sprintf("  %-10s  %s\n", sub.Name(), sub.Short))
		}
	}
	if len(verbs) == 0 {
		return line
	}
	return line + "\nVerbs:\n" + strings.Join(verbs, "")
}

// ownFlags are the flags that a command does not have from its parents: those are shown once, at the top.
func ownFlags(cmd *cobra.Command) string {
	cmd.InitDefaultHelpFlag()
	flags := cmd.LocalFlags()
	if cmd.HasParent() {
		flags.Lookup("help").Hidden = true
	}
	return flags.FlagUsages()
}

// block is a fenced block of code.
type block struct{ language, text string }

func codeBlocks(t *testing.T, name string) []block {
	var blocks []block
	for _, found := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(read(t, name), -1) {
		blocks = append(blocks, block{found[1], found[2]})
	}
	require.NotEmpty(t, blocks, name)
	return blocks
}

// prose is a document without its blocks of code.
func prose(t *testing.T, name string) string {
	return regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(read(t, name), "")
}

func headingLevels(t *testing.T, name string) []int {
	var levels []int
	for _, heading := range regexp.MustCompile(`(?m)^#+ `).FindAllString(prose(t, name), -1) {
		levels = append(levels, len(heading)-1)
	}
	return levels
}

// commandLines are the commands in the shell blocks of a document.
func commandLines(t *testing.T, name string) []string {
	var lines []string
	for _, b := range codeBlocks(t, name) {
		if b.language != "sh" {
			continue
		}
		for line := range strings.Lines(b.text) {
			line, _, _ = strings.Cut(line, " #")
			line = strings.TrimPrefix(strings.TrimSpace(line), `eval "$(`)
			if line = strings.TrimSuffix(line, `)"`); line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// shellWords splits a line at spaces outside of quotes, up to what belongs to the shell.
func shellWords(line string) []string {
	line, _, _ = strings.Cut(line, " && ")
	line, _, _ = strings.Cut(line, " | ")
	line, _, _ = strings.Cut(line, " > ")
	var words []string
	for _, word := range regexp.MustCompile(`(?:[^\s'"]|'[^']*'|"[^"]*")+`).FindAllString(line, -1) {
		words = append(words, strings.NewReplacer(`'`, "", `"`, "").Replace(word))
	}
	return words
}

// makeTargets are the targets of the Makefile. Of a pattern, such as deploy-%, it is what stands before the name.
func makeTargets(t *testing.T) []string {
	var targets []string
	for _, rule := range regexp.MustCompile(`(?m)^([a-z][a-z -]*)%?:`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets = append(targets, strings.Fields(rule[1])...)
	}
	return targets
}

// documents are the texts for people, except those of other modules.
func documents(t *testing.T) []string {
	names := append(slices.Clone(readmes), "CONTRIBUTING.md")
	err := fs.WalkDir(os.DirFS(repository), "docs", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(name, ".md") {
			names = append(names, name)
		}
		return err
	})
	require.NoError(t, err)
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, name))
	require.NoError(t, err)
	return string(data)
}
