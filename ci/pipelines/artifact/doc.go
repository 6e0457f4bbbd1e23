// Package artifact knows what Slipway hands out: it proves that a binary is
// what its target asks for, and writes the lists that go with the files in dist.
//
// Check opens a binary and holds it against a Want: the file format and the
// processor of the target, the build information that Go puts into every
// program, and static linking where it was asked for. A file that was cut off is
// found as well. The error says what was found and what was wanted.
//
// WriteChecksums, WriteArtifacts and WriteMetadata write checksums.txt,
// artifacts.json and metadata.json. Their output depends on their input only,
// in whatever order it comes.
//
// The package uses the standard library only.
package artifact
