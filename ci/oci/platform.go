package oci

import (
	"cmp"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

var errNoPlatform = errors.New("neither the index nor the image's configuration names its platform")

// plain is the one spelling of a platform: linux/arm64 and linux/arm64/v8 are
// the same, as are linux/amd64 and linux/amd64/v1, linux/arm and linux/arm/v7.
func plain(p v1.Platform) v1.Platform {
	p = v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion}
	switch p.Architecture + "/" + p.Variant {
	case "arm64/v8", "amd64/v1":
		p.Variant = ""
	case "arm/":
		p.Variant = "v7"
	}
	return p
}

func comparePlatforms(a, b v1.Platform) int {
	return cmp.Or(
		cmp.Compare(a.OS, b.OS),
		cmp.Compare(a.Architecture, b.Architecture),
		cmp.Compare(a.Variant, b.Variant),
		cmp.Compare(a.OSVersion, b.OSVersion),
	)
}

// platformOf decides what an image is for. The index speaks first; where the
// image says something else, one of the two is wrong.
func platformOf(described *v1.Platform, config *v1.ConfigFile) (v1.Platform, error) {
	own := v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant, OSVersion: config.OSVersion}
	if described == nil || described.OS == "" {
		described = &own
	}
	if described.OS == "" || described.Architecture == "" {
		return v1.Platform{}, errNoPlatform
	}
	contradicts := own.OS != "" && (own.OS != described.OS || own.Architecture != described.Architecture)
	if contradicts {
		return v1.Platform{}, fmt.Errorf("the index says %s, the image's configuration says %s", described, own)
	}
	return plain(*described), nil
}
