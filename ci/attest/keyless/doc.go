// Package keyless signs without a key that somebody has to keep, and verifies
// such signatures: Sigstore. A service (Fulcio) gives a certificate for ten
// minutes to whoever proves with a token who they are, say a workflow of GitHub
// Actions. A log (Rekor) or a timestamp authority proves when it was used.
//
//	signer, err := keyless.New(keyless.Options{
//		Fulcio: "https://fulcio.sigstore.dev",
//		Rekor:  "https://rekor.sigstore.dev",
//		Token:  func(ctx context.Context) (string, error) { return token, nil }, // forge.IdentityToken asks a CI system
//	})
//	…
//	trust, err := keyless.NewTrust(
//		"https://token.actions.githubusercontent.com",
//		"https://github.com/team/greeter/.github/workflows/release.yml@refs/tags/v1.2.3",
//		root,
//	)
//	…
//	verified, err := attest.Verify(bundle, trust, attest.Want{…})
//
// Issuer and identity must be equal, letter by letter: there are no patterns.
// The root says which services count, as trusted_root.json. All that it has is
// asked for: a log entry when it has logs, certificate transparency when it has
// those logs, and always a time that somebody else than the signer vouches for.
//
// This is package attest's other half, with libraries many times its size
// (docs/adr/0015-sigstore.md). A key of one's own needs none of it.
package keyless
