package sbom

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// describe adds what is in an image. starts is the program that it starts.
func (v *inventory) describe(d *document, s Subject, image, starts string) {
	if system := v.system(); system.BOMRef != "" {
		d.need(image, d.add(system))
	}
	for _, p := range v.packages {
		d.need(image, d.add(p.component(v.release)))
	}
	if zones := v.zones(); zones.BOMRef != "" {
		d.need(image, d.add(zones))
	}
	for _, name := range slices.Sorted(maps.Keys(v.files)) {
		if info := v.programs[name]; info != nil {
			inside := Subject{Name: "/" + name, Digest: v.files[name]}
			if path.Clean("/"+starts) == "/"+name {
				inside.Version = s.Version
			}
			d.need(image, d.add(program(d, inside, info)))
			continue
		}
		if !v.accounted(name) && !strings.HasPrefix(name, zonesDir) {
			d.need(image, d.add(v.file(name)))
		}
	}
}

// system is the distribution, as os-release names it.
func (v *inventory) system() cdx.Component {
	id, version := v.release["ID"], v.release["VERSION_ID"]
	if id == "" {
		return cdx.Component{}
	}
	return cdx.Component{
		BOMRef: "os:" + id + "@" + version, Type: cdx.ComponentTypeOS, Name: id, Version: version, Description: v.release["PRETTY_NAME"],
	}
}

// zones are the time zones as one component: they are hundreds of files that
// come together. Its digest is that of the list of their digests.
func (v *inventory) zones() cdx.Component {
	sum, count := sha256.New(), 0
	for _, name := range slices.Sorted(maps.Keys(v.files)) {
		if strings.HasPrefix(name, zonesDir) && !v.accounted(name) {
			_, _ = io.WriteString(sum, v.files[name]+"  "+name+"\n")
			count++
		}
	}
	if count == 0 {
		return cdx.Component{}
	}
	digest := "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return cdx.Component{
		BOMRef: "zones:" + digest, Type: cdx.ComponentTypeData, Name: "/" + strings.TrimSuffix(zonesDir, "/"), Description: "time zones",
		Properties: properties(cdx.Property{Name: "slipway:files", Value: strconv.Itoa(count)}, cdx.Property{Name: "slipway:list", Value: digest}),
	}
}

func (v *inventory) file(name string) cdx.Component {
	c := cdx.Component{BOMRef: "file:/" + name + "@" + v.files[name], Type: cdx.ComponentTypeFile, Name: "/" + name, Hashes: sha256Of(v.files[name])}
	if count, ok := v.roots[name]; ok {
		c.Description = fmt.Sprintf("public certificate authorities, %d certificates", count)
	}
	return c
}

// parseRelease reads the form of os-release: assignments as a shell has them.
func parseRelease(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			values[key] = strings.Trim(value, `"'`)
		}
	}
	return values
}
