package ship

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/ci/attest/sbom"
	"github.com/slipway-ci/slipway/ci/oci"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
)

const sbomsDir = "sbom"

// bill is a bill of materials as a file of the output directory.
type bill struct {
	path   string // relative to it
	target string
	data   []byte
}

// writeBills writes what is in each binary, and in each image, below sbom/.
func (a *assembly) writeBills() error {
	stage := a.run.report.Stage("sbom")
	if err := os.MkdirAll(filepath.Join(a.run.dist.staging, sbomsDir), 0o755); err != nil {
		return fmt.Errorf("write bills of materials: %w", err)
	}
	for _, b := range a.built.Binaries {
		if err := a.billOfBinary(stage, b); err != nil {
			return err
		}
	}
	for _, app := range imagedApps(a.run.project, a.built) {
		if _, made := a.digests[app.Name]; !made {
			continue
		}
		if err := a.billOfImage(stage, app); err != nil {
			return err
		}
	}
	stage.Done(plural(len(a.bills), "bill") + " of materials")
	return nil
}

// billOfBinary asks the binary itself. Some cannot tell: WebAssembly, AIX's without symbols, and some of Plan 9's.
func (a *assembly) billOfBinary(stage *report.StageRecorder, b pipelines.Binary) error {
	if b.Info.GoVersion == "" {
		stage.AppStep(appLabel(a.run.project, b.App), b.Target.String()).Done(report.Result{Status: report.NotChecked, Summary: "a binary of this format does not tell"})
		return nil
	}
	info, err := buildinfo.ReadFile(filepath.Join(a.run.dist.staging, filepath.FromSlash(b.Path)))
	if err != nil {
		return fmt.Errorf("read what %s is made of: %w", b.Path, err)
	}
	subject := billSubject(a.run.project, b.App)
	subject.Digest = "sha256:" + b.Info.SHA256
	document, err := sbom.Binary(subject, info)
	if err != nil {
		return err
	}
	return a.keepBill(bill{path: fmt.Sprintf("%s/%s_%s.cdx.json", sbomsDir, b.App.Name, b.Target.Dir()), target: b.Target.String(), data: document})
}

func (a *assembly) billOfImage(stage *report.StageRecorder, app project.App) error {
	index, err := oci.ReadLayout(filepath.Join(a.run.dist.staging, imagesDir, app.Name))
	if err != nil {
		return err
	}
	document, err := sbom.Index(billSubject(a.run.project, app), index)
	if err != nil {
		return err
	}
	return a.keepBill(bill{path: imageBill(app), data: document})
}

// imageBill is the file that says what is in an app's image.
func imageBill(app project.App) string { return sbomsDir + "/" + app.Name + "_image.cdx.json" }

func (a *assembly) keepBill(b bill) error {
	a.bills = append(a.bills, b)
	return writeFile(filepath.Join(a.run.dist.staging, filepath.FromSlash(b.path)), func(f *os.File) error {
		_, err := io.Copy(f, bytes.NewReader(b.data))
		return err
	})
}

func (b bill) artifact() artifact.Artifact {
	return artifact.Artifact{Name: filepath.Base(b.path), Path: b.path, Kind: artifact.SBOM, Target: b.target, Digest: digestOf(b.data), Size: int64(len(b.data))}
}

func digestOf(data []byte) string {
	digest, _, err := v1.SHA256(bytes.NewReader(data))
	if err != nil {
		panic(err) // memory can be read
	}
	return digest.String()
}

// billSubject is what all bills of an app say of it.
func billSubject(p project.Project, app project.App) sbom.Subject {
	return sbom.Subject{Name: app.Name, Version: p.Version.Version, Time: p.Version.Date, Commit: p.Version.Commit, Source: p.Source.URL}
}

// appLabel names an app where there are several.
func appLabel(p project.Project, app project.App) string {
	if len(p.Apps) > 1 {
		return app.Name
	}
	return ""
}
