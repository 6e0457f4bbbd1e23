package keyless

import (
	"context"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tuf"
)

// Root says which services are trusted: authorities, logs, and their keys.
type Root struct{ material root.TrustedMaterial }

// ReadRoot reads a trusted_root.json.
func ReadRoot(data []byte) (Root, error) {
	material, err := root.NewTrustedRootFromJSON(data)
	if err != nil {
		return Root{}, errors.New("read trusted root: it is no trusted_root.json, as Sigstore's tools write it")
	}
	return Root{material}, nil
}

// PublicRoot asks for the root of the public Sigstore, as its update framework
// (TUF) secures it. What it fetched is kept in a directory for a day.
func PublicRoot(ctx context.Context, cache string) (Root, error) {
	material, err := root.FetchTrustedRootWithOptions(tuf.DefaultOptions().WithContext(ctx).WithCachePath(cache).WithCacheValidity(1))
	if err != nil {
		return Root{}, fmt.Errorf("fetch the trusted root of sigstore.dev (or give one as a file): %w", err)
	}
	return Root{material}, nil
}

// check refuses a root with which nothing could be verified, or without a time.
func (r Root) check() error {
	switch {
	case r.material == nil || len(r.material.FulcioCertificateAuthorities()) == 0:
		return errors.New("the trusted root has no certificate authority")
	case len(r.material.RekorLogs()) == 0 && len(r.material.TimestampingAuthorities()) == 0:
		return errors.New("the trusted root has neither a log nor a timestamp authority: nothing would prove when something was signed")
	}
	return nil
}
