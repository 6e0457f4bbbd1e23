package embedded

import (
	"context"
	"path/filepath"
)

// Tools builds the dagger command, which every engine needs, and returns the directory that holds it. It works on every
// system that has the go command, and needs no privileges.
func Tools(ctx context.Context, opts Options) (dir string, err error) {
	if err := opts.validate(); err != nil {
		return "", err
	}
	g, err := findGo(ctx, opts.Cache, inherited())
	if err != nil {
		return "", err
	}
	cli, err := g.layer(cliLayer())
	if err != nil {
		return "", err
	}
	_, err = buildLayers(ctx, opts, "the dagger command", []layer{cli})
	return filepath.Join(opts.layout().layers(), cli.base()), err
}
