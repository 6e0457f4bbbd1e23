package ship

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/report/render"
)

// writeVerdict writes what verify found below reports: JUnit, coverage, vulnerabilities.
func (d *dist) writeVerdict(ctx context.Context, r *report.Recorder, v pipelines.Verdict) error {
	if err := d.writeReport("junit.xml", func(f *os.File) error { return render.JUnit(f, r.MaskTests(v.Tests)) }); err != nil {
		return err
	}
	if err := d.writeReport("vuln.json", func(f *os.File) error { return writeJSON(f, v.Vulns) }); err != nil {
		return err
	}
	if v.Profile == "" { // what an earlier run measured says nothing about this one
		return errors.Join(d.removeReport("coverage.out"), d.removeReport("coverage.html"))
	}
	if err := d.writeReport("coverage.out", func(f *os.File) error { _, err := f.WriteString(v.Profile); return err }); err != nil {
		return err
	}
	page := filepath.Join(d.staging, ".coverage.html")
	if _, err := v.Page.Export(ctx, page); err != nil {
		return fmt.Errorf("write coverage.html: %w", err)
	}
	return os.Rename(page, filepath.Join(d.dir, reportsDir, "coverage.html"))
}

func (d *dist) removeReport(name string) error {
	err := os.Remove(filepath.Join(d.dir, reportsDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// writeRun writes the report of the run itself.
func (d *dist) writeRun(run report.Run) error {
	return d.writeReport("run.json", func(f *os.File) error { return render.JSON(f, run) })
}

func dirSize(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", filepath.Base(dir), err)
	}
	return size, nil
}
