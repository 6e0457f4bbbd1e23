package artifact

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Kind says what an artifact is.
type Kind string

// The kinds of artifacts in dist.
const (
	Binary    Kind = "binary"
	Archive   Kind = "archive"
	Image     Kind = "image"
	Package   Kind = "package"
	SBOM      Kind = "sbom"
	Changelog Kind = "changelog"
	Checksums Kind = "checksums"
)

// Artifact is one entry of artifacts.json.
type Artifact struct {
	Name   string `json:"name"`
	Path   string `json:"path"` // relative to dist, with slashes
	Kind   Kind   `json:"kind"`
	Target string `json:"target,omitempty"` // linux/arm/v7; empty for what serves all targets
	Digest string `json:"digest"`           // sha256:…
	Size   int64  `json:"size"`
}

// Metadata is metadata.json: of what, and with what, the artifacts were made.
type Metadata struct {
	Project        string    `json:"project"`
	Version        string    `json:"version"`
	Tag            string    `json:"tag"`
	Commit         string    `json:"commit"`
	Date           time.Time `json:"date"` // of the commit
	GoVersion      string    `json:"go_version"`
	SlipwayVersion string    `json:"slipway_version"`
}

// Sum is one line of checksums.txt.
type Sum struct {
	Name   string // relative to the directory of checksums.txt, with slashes
	SHA256 string // in hexadecimal
}

// WriteChecksums writes what "sha256sum -c" reads, sorted by name.
func WriteChecksums(w io.Writer, sums []Sum) error {
	sorted := slices.Clone(sums)
	slices.SortFunc(sorted, func(a, b Sum) int { return strings.Compare(a.Name, b.Name) })
	var text strings.Builder
	for i, sum := range sorted {
		if err := checkSum(sum); err != nil {
			return err
		}
		if i > 0 && sorted[i-1].Name == sum.Name {
			return fmt.Errorf("write checksums: %q is there twice", sum.Name)
		}
		fmt.Fprintf(&text, "%s  %s\n", strings.ToLower(sum.SHA256), sum.Name)
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("write checksums: %w", err)
	}
	return nil
}

// checkSum refuses what sha256sum would read as something else.
func checkSum(sum Sum) error {
	if sum.Name == "" || strings.ContainsAny(sum.Name, "\\\n\r") {
		return fmt.Errorf("write checksums: the name %q cannot be in a list of checksums", sum.Name)
	}
	if len(sum.SHA256) != 64 || strings.Trim(strings.ToLower(sum.SHA256), "0123456789abcdef") != "" {
		return fmt.Errorf("write checksums: %q of %s is no SHA-256 in hexadecimal", sum.SHA256, sum.Name)
	}
	return nil
}

// WriteArtifacts writes artifacts.json, sorted by path.
func WriteArtifacts(w io.Writer, artifacts []Artifact) error {
	sorted := append([]Artifact{}, artifacts...) // never null in the JSON
	slices.SortFunc(sorted, func(a, b Artifact) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Name, b.Name))
	})
	return writeJSON(w, "artifacts", sorted)
}

// WriteMetadata writes metadata.json.
func WriteMetadata(w io.Writer, metadata Metadata) error {
	metadata.Date = metadata.Date.UTC().Truncate(time.Second)
	return writeJSON(w, "metadata", metadata)
}

func writeJSON(w io.Writer, what string, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	return nil
}
