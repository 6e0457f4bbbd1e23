package slipway

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// proxySource is the source of proxy/, which is a module of its own and does not travel with this one. hostsource_test.go holds
// that they are the same.
//
//go:embed ci/rollout/host/proxy.txtar
var proxySource []byte

//go:embed ci/rollout/*.go ci/rollout/host/protocol/*.go ci/rollout/host/helper/*.go
var hostSource embed.FS

// helperModule is the module that the helper is compiled in: with the import paths that it has here.
const helperModule = "module github.com/slipway-ci/slipway\n\ngo 1.25\n"

// helperDirs are the packages that the helper is made of.
var helperDirs = []string{"ci/rollout", "ci/rollout/host/protocol", "ci/rollout/host/helper"}

// HelperMain is the package of HelperSource to build.
const HelperMain = "./ci/rollout/host/helper"

// ProxyMain is the package of ProxySource to build.
const ProxyMain = "."

// ProxySource is the module of the proxy that runs on hosts, file by file.
func ProxySource() map[string]string {
	files := map[string]string{}
	for _, file := range txtar.Parse(proxySource).Files {
		files[file.Name] = string(file.Data)
	}
	return files
}

// HelperSource is the module of the helper that runs on hosts, file by file.
func HelperSource() (map[string]string, error) {
	files := map[string]string{"go.mod": helperModule}
	for _, dir := range helperDirs {
		entries, err := fs.ReadDir(hostSource, dir)
		if err != nil {
			return nil, fmt.Errorf("read the source of the helper: %w", err)
		}
		for _, entry := range entries {
			name := dir + "/" + entry.Name()
			if entry.IsDir() || strings.HasSuffix(name, "_test.go") {
				continue
			}
			data, err := hostSource.ReadFile(name)
			if err != nil {
				return nil, fmt.Errorf("read the source of the helper: %w", err)
			}
			files[name] = string(data)
		}
	}
	return files, nil
}
