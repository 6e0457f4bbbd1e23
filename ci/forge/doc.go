// Package forge shows a run where a CI system has places for it: folded logs, annotations at lines of the source, a summary,
// outputs for the steps that follow, masks. [Detect] says which system this is, from the environment; each has a type with the
// same methods, and [Terminal] is the one that has nothing to offer.
//
// What it may be relied on:
//
//   - A project's texts stay texts. No message of a test and no name of a branch can become a command of the CI system, a second
//     output or a link: what goes to the log goes through [Inert], outputs are written between delimiters that nobody can guess.
//   - A CI system that lacks what it promises (a file that is not there, a full disk) costs the summary or the outputs, and a
//     line in the log. It never costs the run.
//   - [Stranger] says when a run builds what somebody wrote who may not publish or deploy: a pull request from a fork.
//   - [IdentityToken] asks the CI system for a token that proves which workflow this is, for registries and keyless signing.
package forge
