package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
)

// moduleFiles names the files that steer the choice of modules for a build in
// dir. Not all of them need exist. What go cannot read is left out here: the
// listing of packages says what is wrong with it.
func moduleFiles(ctx context.Context, tool goTool, dir string) []string {
	work, module := moduleRoots(ctx, tool, dir)
	files, mains := workFiles(ctx, tool, dir, work)
	if module != "" {
		mains = append(mains, module)
	}
	for _, file := range mains {
		files = append(files, besides(file)...)
		for _, replaced := range localReplacements(ctx, tool, dir, "mod", file) {
			files = append(files, modAndSum(replaced)...)
		}
	}
	return files
}

// moduleRoots finds go.work and go.mod as a build in dir would.
func moduleRoots(ctx context.Context, tool goTool, dir string) (work, module string) {
	output, err := tool.run(ctx, dir, nil, "env", "-json", "GOWORK", "GOMOD")
	if err != nil {
		return "", ""
	}
	var found struct{ GOWORK, GOMOD string }
	if err := json.Unmarshal(output, &found); err != nil {
		return "", ""
	}
	return pathOrNone(found.GOWORK), pathOrNone(found.GOMOD)
}

// pathOrNone keeps "off" and the null device out, with which go says "none".
func pathOrNone(value string) string {
	if base := filepath.Base(value); base != "go.mod" && !strings.HasSuffix(base, ".work") {
		return ""
	}
	return value
}

// workFiles names a workspace's own files and the go.mod of each module in it:
// go reads all of them, whatever is built.
func workFiles(ctx context.Context, tool goTool, dir, work string) (files, mains []string) {
	if work == "" {
		return nil, nil
	}
	files = []string{work, work + ".sum", filepath.Join(filepath.Dir(work), "vendor", "modules.txt")}
	for _, replaced := range localReplacements(ctx, tool, dir, "work", work) {
		files = append(files, modAndSum(replaced)...)
	}
	for _, used := range readEdit(ctx, tool, dir, "work", work).Use {
		mains = append(mains, filepath.Join(within(filepath.Dir(work), used.DiskPath), "go.mod"))
	}
	return files, mains
}

func besides(module string) []string {
	dir := filepath.Dir(module)
	return append(modAndSum(dir), filepath.Join(dir, "vendor", "modules.txt"))
}

func modAndSum(dir string) []string {
	return []string{filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum")}
}

// editFile is what go mod edit -json and go work edit -json have in common.
type editFile struct {
	Use     []struct{ DiskPath string }
	Replace []struct {
		New struct{ Path, Version string }
	}
}

func readEdit(ctx context.Context, tool goTool, dir, kind, file string) editFile {
	var read editFile
	output, err := tool.run(ctx, dir, nil, kind, "edit", "-json", file)
	if err != nil {
		return editFile{}
	}
	if err := json.Unmarshal(output, &read); err != nil {
		return editFile{}
	}
	return read
}

// localReplacements names the directories that stand in for modules.
func localReplacements(ctx context.Context, tool goTool, dir, kind, file string) []string {
	var dirs []string
	for _, replace := range readEdit(ctx, tool, dir, kind, file).Replace {
		if replace.New.Version == "" {
			dirs = append(dirs, within(filepath.Dir(file), filepath.FromSlash(replace.New.Path)))
		}
	}
	return dirs
}
