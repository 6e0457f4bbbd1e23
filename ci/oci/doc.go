// Package oci makes container images canonical, and keeps them in OCI layouts.
//
// BuildKit assembles an image; its bytes tell when and where that happened.
// Canonical writes the same image anew so that its digest depends on content
// only: files sorted, with one time and no names of users; no history, no host
// names; one entry for each platform, in order. It guarantees:
//
//   - Canonical of a canonical image with the same options changes nothing.
//   - The times, the order and the compression of what comes in do not matter.
//   - The compressor is pinned in go.mod, not part of Go: every version of Go,
//     on every machine, gives the same digest.
//
// WriteLayout stores an image as a directory that is complete or not there at
// all. ReadLayout reads it back, ReadTar reads what an engine exports, WriteTar
// hands one platform of a layout to an engine. Everything that is read is
// checked against its digest.
//
// The types are those of go-containerregistry, which also pushes them.
package oci
