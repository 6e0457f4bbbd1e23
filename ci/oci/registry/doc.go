// Package registry pushes images to registries, and reads back what is there.
//
// Registries are slow, busy or half down more often than one likes. Push keeps
// trying until a deadline, sends nothing twice that has arrived, and leaves the
// tags for the end: who pulls a tag gets the old image or the new one, whole.
//
//	client, err := registry.New(registry.Options{Credentials: credentials.Finder{Getenv: getenv, Home: home}})
//	…
//	image, err := oci.ReadLayout("dist/image/greeter")
//	…
//	result, err := client.Push(ctx, registry.Request{
//		Repository: "registry.example.org/team/greeter",
//		Root:       image,
//		Artifacts:  []registry.Artifact{sbom},
//		Tags:       []registry.Tag{{Name: "1.2.3", Fixed: true}, {Name: "latest"}},
//	})
//
// What it holds to:
//
//   - Order: blobs, manifests, artifacts about them (referrers), tags. A push
//     that is killed anywhere leaves the tags as they were, or moved to what is
//     complete; the next one goes on from there.
//   - A blob that is there is not sent again. A push of what is there already
//     sends none.
//   - Every manifest and tag is read back, and its digest compared. Another
//     digest is a DigestError, and the end.
//   - A tag that is Fixed is never moved to another digest, unless forced.
//   - A registry without the Referrers API gets the tag that the OCI
//     specification has in its place, and what others put there stays there.
//   - 401 and 403 are an AuthError at once, which names the registry and where
//     the credential came from. What is wrong for the moment (429, 500, 502,
//     503, 504, a connection that breaks, an answer that ends early, silence)
//     is tried again, after as long as the registry asks for.
//   - TLS, with certificates that can be verified. Plain HTTP and further
//     authorities are for hosts that Options names.
//   - No secret is in an error or an event.
//
// The types are those of go-containerregistry; its own requests and retries are
// not used (docs/adr/0013-push.md).
package registry
