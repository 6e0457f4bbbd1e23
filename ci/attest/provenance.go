package attest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// buildType says how externalParameters are to be read.
const buildType = "https://github.com/slipway-ci/slipway/build/v1"

// Build says how something was made.
type Build struct {
	Verb    string   // publish, for one
	App     string   // the name in slipway.yaml
	Targets []string // linux/amd64, …
	Config  string   // digest of slipway.yaml, "" when there is none

	Source    Source
	Toolchain Material
	Bases     []Material // of the images

	Builder  Builder
	Slipway  string // its version
	Started  time.Time
	Finished time.Time
}

// Material is something that went into a build.
type Material struct {
	Name   string // for people: go1.26.8 linux/amd64
	URI    string
	Digest string // "sha256:…"
}

// provenance is the predicate of SLSA provenance v1.
type provenance struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	BuildType            string            `json:"buildType"`
	ExternalParameters   parameters        `json:"externalParameters"`
	InternalParameters   map[string]string `json:"internalParameters,omitempty"`
	ResolvedDependencies []resource        `json:"resolvedDependencies"`
}

// parameters are what somebody asked for. A field for each, so that nothing
// comes in that was not meant to be published.
type parameters struct {
	Verb    string   `json:"verb"`
	App     string   `json:"app"`
	Targets []string `json:"targets"`
	Config  string   `json:"config,omitempty"`
}

// resource is a ResourceDescriptor of in-toto.
type resource struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"`
	Annotations map[string]any    `json:"annotations,omitempty"`
}

type runDetails struct {
	Builder  builderJSON  `json:"builder"`
	Metadata *runMetadata `json:"metadata,omitempty"`
}

type builderJSON struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}

type runMetadata struct {
	InvocationID string `json:"invocationId,omitempty"`
	StartedOn    string `json:"startedOn,omitempty"`
	FinishedOn   string `json:"finishedOn,omitempty"`
}

// Provenance is the statement of how the subjects were made. It depends on the
// build alone; what differs from run to run is in runDetails.metadata, which
// Same leaves out.
func Provenance(b Build, subjects ...Subject) (Statement, error) {
	if b.Builder.ID == "" {
		return Statement{}, errors.New("write provenance: it does not say who built: use Where")
	}
	dependencies, err := b.dependencies()
	if err == nil && b.Config != "" {
		err = checkDigest(b.Config)
	}
	if err != nil {
		return Statement{}, fmt.Errorf("write provenance: %w", err)
	}
	p := provenance{
		BuildDefinition: buildDefinition{
			BuildType:            buildType,
			ExternalParameters:   parameters{Verb: b.Verb, App: b.App, Targets: sorted(b.Targets), Config: b.Config},
			ResolvedDependencies: dependencies,
		},
		RunDetails: runDetails{Builder: builderJSON{ID: b.Builder.ID}, Metadata: b.metadata()},
	}
	if b.Builder.Runner != "" {
		p.BuildDefinition.InternalParameters = map[string]string{"runner": b.Builder.Runner}
	}
	if b.Slipway != "" {
		p.RunDetails.Builder.Version = map[string]string{"slipway": b.Slipway}
	}
	return New(PredicateProvenance, p, subjects...)
}

// dependencies are the source first, then toolchain and bases.
func (b Build) dependencies() ([]resource, error) {
	list := []resource{}
	if source, ok := b.Source.material(); ok {
		list = append(list, source)
	}
	bases := slices.Clone(b.Bases)
	slices.SortFunc(bases, func(a, b Material) int { return strings.Compare(a.key(), b.key()) })
	for _, m := range append([]Material{b.Toolchain}, slices.Compact(bases)...) {
		if m == (Material{}) {
			continue
		}
		r := resource{Name: m.Name, URI: m.URI}
		if m.Digest != "" {
			if err := checkDigest(m.Digest); err != nil {
				return nil, err
			}
			r.Digest = map[string]string{"sha256": strings.TrimPrefix(m.Digest, "sha256:")}
		}
		list = append(list, r)
	}
	return list, nil
}

func (m Material) key() string { return m.URI + " " + m.Name + " " + m.Digest }

func (b Build) metadata() *runMetadata {
	m := runMetadata{InvocationID: b.Builder.Invocation, StartedOn: stamp(b.Started), FinishedOn: stamp(b.Finished)}
	if m == (runMetadata{}) {
		return nil
	}
	return &m
}

// stamp is a time as these formats want it, "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// sorted is a sorted copy that is not nil: [] in JSON, not null.
func sorted(list []string) []string {
	list = append([]string{}, list...)
	slices.Sort(list)
	return slices.Compact(list)
}
