// Package sbom makes bills of materials, as CycloneDX 1.6 JSON: what is in a
// binary, in the image of one platform, in all platforms of a tag.
//
//	info, err := buildinfo.ReadFile("dist/greeter_linux_amd64/greeter")
//	…
//	document, err := sbom.Binary(subject, info)
//
//	document, err = sbom.Image(subject, image)   // one platform
//	document, err = sbom.Index(subject, index)   // what a tag stands for
//
// It asks the things themselves. A Go binary says which modules it was built
// from, with their checksums; an image says which packages its distribution
// installed. What no package accounts for is listed as a file, with its digest.
//
// The same things give the same bytes, whenever and wherever: the time is the
// commit's, the serial number is made of the content, everything is sorted.
//
// An index gets one document for all of its platforms, because people ask what
// is in a tag. The platforms differ in their binaries and share most modules,
// so it is hardly larger than one of them. Whoever pulls one platform finds the
// document of Image at the digest of that platform.
//
// What it does not see: which of the modules needs which other one (a binary
// does not say), licences, packages of Alpine and of rpm, whose files are listed
// one by one.
package sbom
