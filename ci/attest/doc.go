// Package attest says things about what was built, and signs them: how it was
// made, what is in it, how its tests went. Others can then check that a digest
// is what it claims to be, without trusting where it lies.
//
// A Statement names subjects by their digests and carries a predicate, in the
// form of in-toto. A Signer wraps it into a bundle, in the form of Sigstore, and
// Verify takes a bundle apart again:
//
//	signer, err := attest.ReadKey(pem, password)
//	…
//	statement, err := attest.Provenance(build, attest.Subject{Name: "greeter", Digest: "sha256:…"})
//	…
//	bundle, err := attest.Sign(ctx, signer, statement)
//	…
//	referrer, err := attest.Refer(bundle, committed) // what a registry lists under the image
//
// and at the other end:
//
//	key, err := attest.ReadPublicKey(pem)
//	…
//	verified, err := attest.Verify(bundle, key, attest.Want{Digest: "sha256:…", Predicate: attest.PredicateProvenance})
//
// What it holds to:
//
//   - The same facts give the same bytes. A key signs without randomness, so that
//     the same statement gives the same bundle; publishing twice adds nothing.
//   - Same compares what two statements say, without when and in which run.
//   - Verify refuses whatever it does not understand. Its errors tell apart what
//     a person has to do something about: MissingError, KeyError, IdentityError,
//     ChangedError, SubjectError, PredicateError, ExpiredError, FormatError.
//   - No secret is in a statement, an error, or a printed Key.
//
// Package sbom makes bills of materials, package keyless signs and verifies
// without a key that somebody has to keep.
//
// # With cosign
//
// The bundles are those of cosign 3, and so is the way in which they refer to an
// image. Without a transparency log, as a key of one's own needs none:
//
//	cosign verify --key cosign.pub --insecure-ignore-tlog=true registry.example.org/team/greeter@sha256:…
//	cosign verify-attestation --key cosign.pub --insecure-ignore-tlog=true --type slsaprovenance1 registry.example.org/team/greeter@sha256:…
//
// The other types are cyclonedx, vuln, and for tests and coverage the whole
// name: https://in-toto.io/attestation/test-result/v0.1 and
// https://github.com/slipway-ci/slipway/attestation/coverage/v1. The tests of
// this package run these commands with cosign v3.0.4, with keys of its own and
// with an Ed25519 key, with and without the registry's Referrers API.
//
// "cosign verify" is content with any bundle about the digest; Find asks for the
// signature itself.
package attest
