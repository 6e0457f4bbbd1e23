package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// createdBy is the one entry of history that each layer gets: tools expect as
// many entries as layers.
const createdBy = "slipway"

// Canonical writes every image of idx anew, so that the result depends on
// content and options only. Statements about images (attestations) and the
// nesting of indexes are not kept. Device files, named pipes and extended
// attributes are left out. A layer that removes files of an earlier one is an
// error: what a layer holds is final.
//
// The layers of the result are in memory, compressed; one layer for each
// processor is there uncompressed while it is written.
func Canonical(idx v1.ImageIndex, opts Options) (v1.ImageIndex, error) {
	found, err := flatten(idx)
	if err != nil {
		return nil, fmt.Errorf("read image index: %w", err)
	}
	if len(found) == 0 {
		return nil, errors.New("read image index: it has no image")
	}
	opts = opts.settled()
	written := make([]writtenImage, len(found))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, member := range found {
		group.Go(func() (err error) {
			written[i], err = canonicalImage(member, opts)
			if err != nil {
				return fmt.Errorf("make image for %s canonical: %w", member.platform, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return assemble(written, opts)
}

// member is one image of an index.
type member struct {
	image    v1.Image
	config   *v1.ConfigFile
	platform v1.Platform
}

// flatten lists the images of an index and of the indexes in it, by platform.
func flatten(idx v1.ImageIndex) ([]member, error) {
	members, err := collect(idx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(members, func(a, b member) int { return comparePlatforms(a.platform, b.platform) })
	for i := 1; i < len(members); i++ {
		if comparePlatforms(members[i-1].platform, members[i].platform) == 0 {
			return nil, fmt.Errorf("there are two images for %s", members[i].platform)
		}
	}
	return members, nil
}

func collect(idx v1.ImageIndex) ([]member, error) {
	manifest, err := idx.IndexManifest()
	if err != nil {
		return nil, err
	}
	var members []member
	for _, described := range manifest.Manifests {
		more, err := collectOne(idx, described)
		if err != nil {
			return nil, fmt.Errorf("manifest %s: %w", described.Digest, err)
		}
		members = append(members, more...)
	}
	return members, nil
}

func collectOne(idx v1.ImageIndex, described v1.Descriptor) ([]member, error) {
	switch {
	case isStatement(described):
		return nil, nil
	case described.MediaType.IsIndex():
		nested, err := idx.ImageIndex(described.Digest)
		if err != nil {
			return nil, err
		}
		return collect(nested)
	case !described.MediaType.IsImage():
		return nil, fmt.Errorf("is a %s, wanted an image", described.MediaType)
	}
	image, err := idx.Image(described.Digest)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	platform, err := platformOf(described.Platform, config)
	return []member{{image, config, platform}}, err
}

// isStatement recognises what BuildKit puts beside images: provenance and SBOM
// in the guise of an image for no platform.
func isStatement(described v1.Descriptor) bool {
	_, refers := described.Annotations["vnd.docker.reference.type"]
	return refers || (described.Platform != nil && described.Platform.OS == "unknown")
}

// writtenImage is a canonical image: its manifest and all of its blobs.
type writtenImage struct {
	described v1.Descriptor
	blobs     memoryBlobs
}

func canonicalImage(from member, opts Options) (writtenImage, error) {
	layers, err := canonicalLayers(from.image, opts)
	if err != nil {
		return writtenImage{}, err
	}
	blobs := memoryBlobs{}
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{}}
	config := canonicalConfig(from.config, from.platform, opts)
	for _, layer := range layers {
		manifest.Layers = append(manifest.Layers, blobs.put(types.OCILayer, layer.compressed))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.diffID)
		config.History = append(config.History, v1.History{Created: config.Created, CreatedBy: createdBy})
	}
	if manifest.Config, err = blobs.putJSON(types.OCIConfigJSON, config); err != nil {
		return writtenImage{}, err
	}
	described, err := blobs.putJSON(types.OCIManifestSchema1, manifest)
	described.Platform = &from.platform
	return writtenImage{described, blobs}, err
}

// canonicalConfig takes over what tells how to run the image, and nothing that
// tells how it came to be.
func canonicalConfig(from *v1.ConfigFile, platform v1.Platform, opts Options) v1.ConfigFile {
	return v1.ConfigFile{
		Created:      v1.Time{Time: opts.Created},
		OS:           platform.OS,
		Architecture: platform.Architecture,
		Variant:      platform.Variant,
		OSVersion:    platform.OSVersion,
		RootFS:       v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
		Config:       runConfig(from.Config, opts),
	}
}

func runConfig(from v1.Config, opts Options) v1.Config {
	config := v1.Config{
		User:         from.User,
		WorkingDir:   from.WorkingDir,
		StopSignal:   from.StopSignal,
		Env:          from.Env,
		Entrypoint:   from.Entrypoint,
		Cmd:          from.Cmd,
		Healthcheck:  from.Healthcheck,
		Volumes:      from.Volumes,
		ExposedPorts: from.ExposedPorts,
		Labels:       from.Labels,
	}
	replaceText(&config.User, opts.User)
	replaceText(&config.WorkingDir, opts.WorkingDir)
	replaceText(&config.StopSignal, opts.StopSignal)
	replaceList(&config.Env, opts.Env)
	replaceList(&config.Entrypoint, opts.Entrypoint)
	replaceList(&config.Cmd, opts.Cmd)
	if opts.Labels != nil {
		config.Labels = opts.Labels
	}
	if opts.ExposedPorts != nil {
		config.ExposedPorts = portSet(opts.ExposedPorts)
	}
	return config
}

func replaceText(value *string, by string) {
	if by != "" {
		*value = by
	}
}

func replaceList(value *[]string, by []string) {
	if by != nil {
		*value = slices.Clone(by)
	}
}

func portSet(ports []string) map[string]struct{} {
	set := make(map[string]struct{}, len(ports))
	for _, port := range ports {
		set[port] = struct{}{}
	}
	return set
}

// assemble makes the index over all images.
func assemble(images []writtenImage, opts Options) (v1.ImageIndex, error) {
	blobs := memoryBlobs{}
	index := v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests:     []v1.Descriptor{},
		Annotations:   opts.Annotations,
	}
	for _, image := range images {
		index.Manifests = append(index.Manifests, image.described)
		maps.Copy(blobs, image.blobs)
	}
	raw, err := encode(index)
	if err != nil {
		return nil, err
	}
	return storedIndex{raw: raw, blobs: blobs}, nil
}

func encode(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode %T: %w", value, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
