package registry

import (
	"bytes"
	"encoding/json"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// EmptyType is the media type of {}: where the OCI specification wants a blob
// and there is nothing to say.
const EmptyType = "application/vnd.oci.empty.v1+json"

// Artifact is something about an image: its bill of materials, its provenance,
// a signature. The registry lists it under its subject, as a referrer. Its
// manifest depends on nothing but what is here.
type Artifact struct {
	// Type says what it is, as a media type: application/vnd.cyclonedx+json.
	Type string
	// Subject is the manifest that it is about: an index, an image or another
	// artifact, in the same repository.
	Subject v1.Descriptor
	// Parts are its content. Most have one.
	Parts []Part
	// Annotations are in the manifest, and in the registry's list.
	Annotations map[string]string
}

// Part is one blob of an artifact.
type Part struct {
	MediaType   string
	Data        []byte
	Annotations map[string]string
}

// artifactManifest is an OCI image manifest of version 1.1, which the library
// does not know as a whole.
type artifactManifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        v1.Descriptor     `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Subject       *v1.Descriptor    `json:"subject"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Descriptor describes the artifact's manifest, as a subject of another
// artifact for instance.
func (a Artifact) Descriptor() (v1.Descriptor, error) {
	c := &content{seen: map[v1.Hash]bool{}}
	d, err := c.addArtifact(a)
	return d.Descriptor, err
}

func (c *content) addArtifact(a Artifact) (document, error) {
	if a.Type == "" || a.Subject.Digest.Hex == "" || a.Subject.Size == 0 || a.Subject.MediaType == "" {
		return document{}, errors.New("an artifact needs a type, and a subject with its media type, size and digest")
	}
	subject := v1.Descriptor{MediaType: a.Subject.MediaType, Size: a.Subject.Size, Digest: a.Subject.Digest}
	manifest := artifactManifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: a.Type,
		Config: c.addPart(Part{MediaType: EmptyType, Data: []byte("{}")}), Subject: &subject, Annotations: a.Annotations,
	}
	for _, part := range a.Parts {
		manifest.Layers = append(manifest.Layers, c.addPart(part))
	}
	if len(manifest.Layers) == 0 {
		manifest.Layers = []v1.Descriptor{manifest.Config}
	}
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(manifest); err != nil {
		return document{}, err
	}
	d := c.addDocument(types.OCIManifestSchema1, bytes.TrimSuffix(raw.Bytes(), []byte("\n")), 0)
	d.ArtifactType, d.Annotations = a.Type, a.Annotations
	return d, nil
}

func (c *content) addPart(p Part) v1.Descriptor {
	described := v1.Descriptor{MediaType: types.MediaType(p.MediaType), Size: int64(len(p.Data)), Digest: hashOf(p.Data)}
	c.addBlob(described, opened(p.Data))
	described.Annotations = p.Annotations
	return described
}
