package sbom

import (
	"fmt"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Image is the document of the image of one platform.
func Image(s Subject, image v1.Image) ([]byte, error) {
	d := newDocument()
	about, err := platform(d, s, image)
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	about.ExternalReferences = s.references()
	about.Properties = properties(append(*orNone(about.Properties), s.properties()...)...)
	return d.write(about, s)
}

// Index is the document of all platforms of an index.
func Index(s Subject, index v1.ImageIndex) ([]byte, error) {
	digest, err := index.Digest()
	if err != nil {
		return nil, fmt.Errorf("read image index: %w", err)
	}
	d := newDocument()
	about := container(s, digest, "")
	about.ExternalReferences, about.Properties = s.references(), properties(s.properties()...)
	if err := platforms(d, s, index, about.BOMRef); err != nil {
		return nil, fmt.Errorf("read image index: %w", err)
	}
	return d.write(about, s)
}

// platforms adds what an index lists. Builders also list what is no image, under
// a platform that they call unknown.
func platforms(d *document, s Subject, index v1.ImageIndex, reference string) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, entry := range manifest.Manifests {
		switch {
		case entry.Platform != nil && entry.Platform.OS == "unknown":
		case entry.MediaType.IsIndex():
			below, err := index.ImageIndex(entry.Digest)
			if err == nil {
				err = platforms(d, s, below, reference)
			}
			if err != nil {
				return err
			}
		case entry.MediaType.IsImage():
			image, err := index.Image(entry.Digest)
			if err != nil {
				return err
			}
			one, err := platform(d, s, image)
			if err != nil {
				return fmt.Errorf("%s: %w", entry.Digest, err)
			}
			d.need(reference, d.add(one))
		}
	}
	return nil
}

// platform adds what the image of one platform holds, and returns the image.
func platform(d *document, s Subject, image v1.Image) (cdx.Component, error) {
	digest, err := image.Digest()
	if err != nil {
		return cdx.Component{}, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return cdx.Component{}, err
	}
	found, err := look(image)
	if err != nil {
		return cdx.Component{}, err
	}
	about := container(s, digest, config.Architecture)
	about.Properties = properties(cdx.Property{Name: "slipway:platform", Value: platformName(config.OS, config.Architecture, config.Variant)})
	starts := ""
	if command := append(config.Config.Entrypoint, config.Config.Cmd...); len(command) > 0 {
		starts = command[0]
	}
	found.describe(d, s, about.BOMRef, starts)
	return about, nil
}

// container is an image, or the index of several, without what it holds.
func container(s Subject, digest v1.Hash, architecture string) cdx.Component {
	return cdx.Component{
		BOMRef:     "image:" + s.Name + "@" + digest.String(),
		Type:       cdx.ComponentTypeContainer,
		Name:       s.Name,
		Version:    s.Version,
		Hashes:     sha256Of(digest.String()),
		PackageURL: imageURL(s.Name, digest.String(), architecture),
	}
}
