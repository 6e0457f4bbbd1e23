package oci

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"reflect"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maxDifferences is how many differences of one image are named: the first ones tell enough.
const maxDifferences = 20

// Diff names what differs between two indexes, for people, in the order of platforms: fields of the configuration, files with
// what differs about them. It is empty for two that hold the same. Images are told apart by their platform.
func Diff(a, b v1.ImageIndex) ([]string, error) {
	first, err := byPlatform(a)
	if err != nil {
		return nil, fmt.Errorf("read the first image: %w", err)
	}
	second, err := byPlatform(b)
	if err != nil {
		return nil, fmt.Errorf("read the second image: %w", err)
	}
	var found []string
	for _, platform := range union(first, second) {
		one, two := first[platform], second[platform]
		switch {
		case one == nil:
			found = append(found, platform+": only the second has it")
		case two == nil:
			found = append(found, platform+": only the first has it")
		default:
			differences, err := diffImages(one, two)
			if err != nil {
				return nil, fmt.Errorf("compare %s: %w", platform, err)
			}
			for _, text := range differences {
				found = append(found, platform+": "+text)
			}
		}
	}
	return append(found, diffAnnotations(a, b)...), nil
}

func byPlatform(index v1.ImageIndex) (map[string]v1.Image, error) {
	members, err := flatten(index)
	if err != nil {
		return nil, err
	}
	images := map[string]v1.Image{}
	for _, m := range members {
		images[m.platform.String()] = m.image
	}
	return images, nil
}

func diffAnnotations(a, b v1.ImageIndex) []string {
	first, err := a.IndexManifest()
	second, alsoErr := b.IndexManifest()
	if err != nil || alsoErr != nil {
		return nil // they have been read before
	}
	return diffMaps("index annotation ", toAny(first.Annotations), toAny(second.Annotations))
}

func toAny(values map[string]string) map[string]any {
	all := map[string]any{}
	for name, value := range values {
		all[name] = value
	}
	return all
}

// diffImages compares two images of one platform.
func diffImages(a, b v1.Image) ([]string, error) {
	first, err := a.Digest()
	if err != nil {
		return nil, err
	}
	second, err := b.Digest()
	if err != nil || first == second {
		return nil, err
	}
	found, err := diffConfigs(a, b)
	if err != nil {
		return nil, err
	}
	files, err := diffLayers(a, b)
	if err != nil {
		return nil, err
	}
	if found = append(found, files...); len(found) == 0 {
		return []string{fmt.Sprintf("files and configuration are the same, the manifests are not: %s and %s", first, second)}, nil
	}
	if more := len(found) - maxDifferences; more > 0 {
		found = append(found[:maxDifferences], fmt.Sprintf("and %d more", more))
	}
	return found, nil
}

// diffConfigs compares the configurations. The digests of layers are left out: their files are compared.
func diffConfigs(a, b v1.Image) ([]string, error) {
	var values [2]map[string]any
	for i, image := range []v1.Image{a, b} {
		raw, err := image.RawConfigFile()
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, &values[i]); err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		delete(values[i], "rootfs")
	}
	return diffMaps("configuration ", values[0], values[1]), nil
}

func diffMaps(prefix string, a, b map[string]any) []string {
	var found []string
	for _, key := range union(a, b) {
		one, two := a[key], b[key]
		below, alsoBelow := one.(map[string]any)
		other, alsoOther := two.(map[string]any)
		switch {
		case alsoBelow && alsoOther:
			found = append(found, diffMaps(prefix+key+".", below, other)...)
		case !reflect.DeepEqual(one, two):
			found = append(found, fmt.Sprintf("%s%s is %s and %s", prefix, key, inJSON(one), inJSON(two)))
		}
	}
	return found
}

func inJSON(value any) string {
	if value == nil {
		return "not there"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// held is a file that an image holds.
type held struct {
	header *tar.Header
	data   []byte
}

// diffLayers compares the files, layer after layer, as a container sees them: a later layer hides what is below it.
func diffLayers(a, b v1.Image) ([]string, error) {
	first, err := entriesOf(a)
	if err != nil {
		return nil, err
	}
	second, err := entriesOf(b)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, name := range union(first, second) {
		one, inFirst := first[name]
		two, inSecond := second[name]
		switch {
		case !inFirst:
			found = append(found, name+" is only in the second")
		case !inSecond:
			found = append(found, name+" is only in the first")
		default:
			found = append(found, diffEntries(name, one, two)...)
		}
	}
	return found, nil
}

func entriesOf(image v1.Image) (map[string]held, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	all := map[string]held{}
	for _, layer := range layers {
		if err := readEntries(layer, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func readEntries(layer v1.Layer, all map[string]held) (err error) {
	content, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	archive := tar.NewReader(content)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		all[path.Join("/", header.Name)] = held{header, data}
	}
}

func diffEntries(name string, a, b held) []string {
	var found []string
	about := func(what string, one, two any) {
		if one != two {
			found = append(found, fmt.Sprintf("%s: %s is %v and %v", name, what, one, two))
		}
	}
	about("kind", string(a.header.Typeflag), string(b.header.Typeflag))
	about("mode", fmt.Sprintf("%#o", a.header.Mode), fmt.Sprintf("%#o", b.header.Mode))
	about("owner", fmt.Sprintf("%d:%d", a.header.Uid, a.header.Gid), fmt.Sprintf("%d:%d", b.header.Uid, b.header.Gid))
	about("time", a.header.ModTime.UTC().String(), b.header.ModTime.UTC().String())
	about("link", a.header.Linkname, b.header.Linkname)
	for _, text := range diffContent(a.data, b.data) {
		found = append(found, name+": "+text)
	}
	return found
}

// diffContent says where two contents part, and shows the texts that stand in the places where they differ: a time, a path.
func diffContent(a, b []byte) []string {
	if bytes.Equal(a, b) {
		return nil
	}
	places := parting(a, b)
	text := fmt.Sprintf("content differs from byte %d on", places[0])
	if len(a) != len(b) {
		text += fmt.Sprintf(", and has %d and %d bytes", len(a), len(b))
	}
	shown := []string{text}
	end := 0 // of the text that was shown last
	for _, at := range places {
		one, two := around(a, at), around(b, at)
		if at < end || len(one)+len(two) < minText || len(shown) > maxTexts {
			continue
		}
		shown, end = append(shown, fmt.Sprintf("%q and %q", one, two)), at+max(len(one), len(two))
	}
	return shown
}

const (
	maxTexts = 5  // pairs of texts that are shown for a file
	minText  = 10 // shorter ones are no texts, but bytes that happen to be letters
)

// parting are the places where two contents begin to differ. For contents of two lengths that is the first one alone: after
// it, everything has moved.
func parting(a, b []byte) []int {
	var places []int
	same := true
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] && same {
			places = append(places, i)
			if len(a) != len(b) {
				return places
			}
		}
		same = a[i] == b[i]
	}
	if len(places) == 0 { // one is the beginning of the other
		places = append(places, min(len(a), len(b)))
	}
	return places
}

// around is the printable text around a place, or "".
func around(data []byte, at int) string {
	const reach = 30
	printable := func(c byte) bool { return c >= ' ' && c <= '~' }
	from, to := at, at
	for from > 0 && at-from < reach && printable(data[from-1]) {
		from--
	}
	for to < len(data) && to-at < reach && printable(data[to]) {
		to++
	}
	return string(data[from:to])
}

// union are the keys of two maps, in order.
func union[V, W any](a map[string]V, b map[string]W) []string {
	keys := slices.Concat(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b)))
	slices.Sort(keys)
	return slices.Compact(keys)
}
