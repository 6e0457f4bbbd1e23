package pipelines

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

// Archive is one packed program: greeter_1.2.3_linux_amd64.tar.gz.
type Archive struct {
	Product
	Binary Binary
}

// Package packs each binary with the project's licence and README and exports the archives to out. The same binaries give
// the same bytes.
func (s Stages) Package(ctx context.Context, built Built, out Output) ([]Archive, error) {
	stage := s.Report.Stage("package")
	archives := make([]Archive, len(built.Binaries))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, b := range built.Binaries {
		archives[i] = Archive{Binary: b, Product: Product{Path: archiveName(s.Project, b), Mode: 0o644}}
		step := stage.Step(archives[i].Path)
		group.Go(func() error { return s.pack(groupCtx, step, &archives[i], out) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	packed := slices.DeleteFunc(archives, func(a Archive) bool { return a.file == nil })
	stage.Done(plural(len(packed), "archive", "archives"))
	return packed, nil
}

// pack packs one archive. One that cannot be packed fails its step and has no file.
func (s Stages) pack(ctx context.Context, step *report.StepRecorder, a *Archive, out Output) error {
	documents := documents(s.Project.Root, a.Binary.App)
	request, err := json.Marshal(packRequest(s.Project, *a, documents))
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	container := s.buildRoot().
		WithMountedDirectory(sourceDir, s.part(Literals(documents))).
		WithMountedFile("/slipway/binary", a.Binary.file).
		WithNewFile(requestDir+"/pack.json", string(request))
	name := outDir + "/" + a.Path
	o, err := s.run(ctx, container, command{step: step, argv: []string{inboxPath, "pack", requestDir + "/pack.json"}, makes: name})
	if err != nil {
		return s.engineFailure(step, "pack "+a.Path, err)
	}
	if !o.ok() {
		step.Fail(o.failure(ctx, "cannot be packed"))
		return nil
	}
	a.file, a.SHA256 = o.After.File(name), o.SHA256
	if err := a.export(ctx, out); err != nil {
		return fmt.Errorf("export %s: %w", a.Path, err)
	}
	step.Done(o.result(""))
	return nil
}

// packRequest is the question as inbox takes it.
func packRequest(p project.Project, a Archive, documents []string) any {
	type input struct {
		From string `json:"from"`
		Name string `json:"name"`
		Mode string `json:"mode"`
	}
	files := []input{{From: "/slipway/binary", Name: a.Binary.Target.Exe(a.Binary.App.Binary), Mode: "0755"}}
	for _, name := range documents {
		files = append(files, input{From: sourceDir + "/" + name, Name: filepath.Base(name), Mode: "0644"})
	}
	return []map[string]any{{
		"kind": a.Binary.Target.Archive(), "out": outDir + "/" + a.Path, "mtime": p.Version.Date.Unix(), "files": files,
	}}
}

func archiveName(p project.Project, b Binary) string {
	return fmt.Sprintf("%s_%s_%s.%s", b.App.Name, p.Version.Version, b.Target.Dir(), b.Target.Archive())
}

// documents are the files that go with a binary: the app's own licence and README, or else the project's.
func documents(root string, app project.App) []string {
	chosen := map[string]string{}
	for _, dir := range []string{".", app.ModuleDir, app.Dir} { // the nearest wins
		entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(dir)))
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if kind := documentKind(entry.Name()); kind != "" && entry.Type().IsRegular() {
				chosen[kind] = filepath.ToSlash(filepath.Join(dir, entry.Name()))
			}
		}
	}
	names := make([]string, 0, len(chosen))
	for _, name := range chosen {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// documentKind is the file's name in capitals where it is one that readers of an archive look for.
func documentKind(name string) string {
	stem := strings.ToUpper(strings.TrimSuffix(name, filepath.Ext(name)))
	switch stem {
	case "LICENSE", "LICENCE", "COPYING", "NOTICE", "README":
		if strings.HasSuffix(name, ".go") {
			return ""
		}
		return stem
	}
	return ""
}
