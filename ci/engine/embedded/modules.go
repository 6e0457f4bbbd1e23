package embedded

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// The module files end in .txt: a directory with a go.mod would be a module of its own and not travel in ours.
//
//go:embed modules
var moduleFiles embed.FS

const (
	daggerPackage = "github.com/dagger/dagger"
	cniPackage    = "github.com/containernetworking/plugins/plugins"
	runcPackage   = "github.com/opencontainers/runc"
)

// program is a Go package and the place of its binary within a layer.
type program struct{ pkg, path string }

// goLayer is a set of programs that one of our embedded modules builds.
type goLayer struct {
	name     string
	title    string // for people
	module   string // directory below modules/
	cgo      bool
	tags     string
	ldflags  string
	programs []program
	patches  []patch // to daggerPackage
}

// Where the engine expects its helpers, see modules/dagger/distconsts.
const (
	binDir = "usr/local/bin"
	cniDir = "opt/cni/bin"
)

func daggerFlags() string {
	return fmt.Sprintf("-s -w -X %[1]s/engine.Version=%[2]s -X %[1]s/engine.Tag=%[2]s", daggerPackage, Version)
}

func cliLayer() goLayer {
	return goLayer{name: "cli", title: "dagger command " + Version, module: "dagger", ldflags: daggerFlags(),
		programs: []program{{daggerPackage + "/cmd/dagger", "dagger"}}}
}

func engineLayer() goLayer {
	return goLayer{name: "engine", title: "dagger engine " + Version, module: "dagger", ldflags: daggerFlags(), patches: enginePatches, programs: []program{
		{daggerPackage + "/cmd/engine", binDir + "/engine"},
		{daggerPackage + "/cmd/init", binDir + "/dagger-init"},
		{daggerPackage + "/cmd/codegen", binDir + "/codegen"},
		{daggerPackage + "/cmd/dnsname", cniDir + "/dnsname"},
	}}
}

func cniLayer() goLayer {
	return goLayer{name: "cni", title: "network plugins", module: "cni", ldflags: "-s -w", programs: []program{
		{cniPackage + "/main/bridge", cniDir + "/bridge"},
		{cniPackage + "/main/loopback", cniDir + "/loopback"},
		{cniPackage + "/meta/firewall", cniDir + "/firewall"},
		{cniPackage + "/ipam/host-local", cniDir + "/host-local"},
	}}
}

// runcLayer is static and knows seccomp: the engine asks for a seccomp profile for every container.
func runcLayer() goLayer {
	return goLayer{name: "runc", title: "runc", module: "runc", cgo: true, tags: "seccomp,urfave_cli_no_docs,netgo,osusergo",
		ldflags: "-s -w -linkmode external -extldflags -static", programs: []program{{runcPackage, binDir + "/runc"}}}
}

// key changes with everything that may change the layer's bits.
func (g goLayer) key(goVersion, platform string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, goVersion, platform, g.cgo, g.tags, g.ldflags, g.programs)
	if len(g.patches) > 0 {
		fmt.Fprintln(h, g.patches)
	}
	err := walkModule(g.module, func(name string, content []byte) error {
		fmt.Fprintln(h, name, len(content))
		_, err := h.Write(content)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

// writeModule writes an embedded module to dir, under the names that the go command knows.
func writeModule(module, dir string) error {
	return walkModule(module, func(name string, content []byte) error {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.WriteFile(file, content, 0o644)
	})
}

func walkModule(module string, visit func(name string, content []byte) error) error {
	root := path.Join("modules", module)
	return fs.WalkDir(moduleFiles, root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := moduleFiles.ReadFile(file)
		if err != nil {
			return err
		}
		return visit(strings.TrimSuffix(strings.TrimPrefix(file, root+"/"), ".txt"), content)
	})
}
