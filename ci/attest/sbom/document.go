package sbom

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// document collects components by their reference. The same thing found twice,
// in two platforms for one, is there once.
type document struct {
	components map[string]cdx.Component
	needs      map[string]map[string]bool
}

func newDocument() *document {
	return &document{components: map[string]cdx.Component{}, needs: map[string]map[string]bool{}}
}

// add takes a component in. Its reference must say all that it holds.
func (d *document) add(c cdx.Component) (reference string) {
	d.components[c.BOMRef] = c
	return c.BOMRef
}

// need says that one component is made of, or uses, others.
func (d *document) need(from string, to ...string) {
	if d.needs[from] == nil {
		d.needs[from] = map[string]bool{}
	}
	for _, reference := range to {
		d.needs[from][reference] = true
	}
}

// write makes the document about a main component.
func (d *document) write(about cdx.Component, s Subject) ([]byte, error) {
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Lifecycles: &[]cdx.Lifecycle{{Phase: cdx.LifecyclePhasePostBuild}},
		Tools:      &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "slipway"}}}, // without a version: another Slipway finds the same
		Component:  &about,
	}
	if !s.Time.IsZero() {
		bom.Metadata.Timestamp = s.Time.UTC().Format(time.RFC3339)
	}
	delete(d.components, about.BOMRef)
	components := make([]cdx.Component, 0, len(d.components))
	for _, reference := range slices.Sorted(maps.Keys(d.components)) {
		components = append(components, d.components[reference])
	}
	bom.Components = &components
	bom.Dependencies = d.dependencies()
	return number(bom)
}

// dependencies lists what is known. A component that is not in the list may
// depend on anything, which is what the format takes silence for.
func (d *document) dependencies() *[]cdx.Dependency {
	list := []cdx.Dependency{}
	for _, from := range slices.Sorted(maps.Keys(d.needs)) {
		to := slices.Sorted(maps.Keys(d.needs[from]))
		list = append(list, cdx.Dependency{Ref: from, Dependencies: &to})
	}
	return &list
}

// number gives a document the serial number that its content stands for.
func number(bom *cdx.BOM) ([]byte, error) {
	unnumbered, err := encode(bom)
	if err != nil {
		return nil, err
	}
	space := uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/slipway-ci/slipway/sbom"))
	bom.SerialNumber = "urn:uuid:" + uuid.NewSHA1(space, unnumbered).String()
	return encode(bom)
}

func encode(bom *cdx.BOM) ([]byte, error) {
	var out bytes.Buffer
	encoder := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := encoder.Encode(bom); err != nil {
		return nil, fmt.Errorf("write bill of materials: %w", err)
	}
	return out.Bytes(), nil
}

// properties are sorted, and not there when there are none.
func properties(list ...cdx.Property) *[]cdx.Property {
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, func(a, b cdx.Property) int { return strings.Compare(a.Name+"="+a.Value, b.Name+"="+b.Value) })
	return &list
}
