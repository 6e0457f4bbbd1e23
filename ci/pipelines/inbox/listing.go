package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// listFields are the fields of listedPackage: go computes no others.
const listFields = "Dir,ImportPath,Standard," +
	"GoFiles,CgoFiles,CFiles,CXXFiles,MFiles,HFiles,FFiles,SFiles,SwigFiles,SwigCXXFiles,SysoFiles,EmbedFiles," +
	"Error,DepsErrors"

// listedPackage is what go list says of one package. Files that constraints
// leave out (IgnoredGoFiles) and tests are not asked for: no build reads more
// of them than their first lines, and nothing of that gets into the binary.
type listedPackage struct {
	Dir          string
	ImportPath   string
	Standard     bool
	GoFiles      []string
	CgoFiles     []string
	CFiles       []string
	CXXFiles     []string
	MFiles       []string
	HFiles       []string
	FFiles       []string
	SFiles       []string
	SwigFiles    []string
	SwigCXXFiles []string
	SysoFiles    []string
	EmbedFiles   []string
	Error        *packageError
	DepsErrors   []*packageError
}

type packageError struct {
	Pos string
	Err string
}

func decodePackages(output []byte) ([]listedPackage, error) {
	var packages []listedPackage
	decoder := json.NewDecoder(bytes.NewReader(output))
	for {
		var pkg listedPackage
		err := decoder.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			return packages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read go list output: %w", err)
		}
		packages = append(packages, pkg)
	}
}

// files names every file that compiling the package reads.
func (p listedPackage) files() []string {
	if p.Standard || p.Dir == "" {
		return nil
	}
	var files []string
	for _, group := range [][]string{
		p.GoFiles, p.CgoFiles, p.CFiles, p.CXXFiles, p.MFiles, p.HFiles, p.FFiles, p.SFiles,
		p.SwigFiles, p.SwigCXXFiles, p.SysoFiles, p.EmbedFiles,
	} {
		for _, name := range group {
			files = append(files, within(p.Dir, name))
		}
	}
	return files
}

func within(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// excludedText is how go says that constraints leave a package without a file.
const excludedText = "build constraints exclude all Go files"

// verdict says why the last package, the one asked for, cannot be built; no
// reason means that it can. One mistake that is no matter of constraints makes
// the whole a mistake.
func verdict(packages []listedPackage) (excluded bool, reason string) {
	if len(packages) == 0 {
		return false, "go list found no package"
	}
	problems := problemsOf(packages)
	if len(problems) == 0 {
		return false, ""
	}
	for _, problem := range problems {
		if !strings.Contains(problem.Err, excludedText) {
			return false, problem.text()
		}
	}
	return true, problems[0].text()
}

func problemsOf(packages []listedPackage) []*packageError {
	var problems []*packageError
	for _, pkg := range packages {
		if pkg.Error != nil {
			problems = append(problems, pkg.Error)
		}
	}
	return append(problems, packages[len(packages)-1].DepsErrors...)
}

func (e *packageError) text() string {
	text := strings.TrimSpace(e.Err)
	if e.Pos == "" {
		return text
	}
	return e.Pos + ": " + text
}
