// Package engine finds the Dagger engine that a run uses, or starts one, and opens a session on it.
//
// The order is fixed, and the first that works wins (docs/layout.md tells why):
//
//  1. a Dagger session that is there already (DAGGER_SESSION_PORT: under "dagger run", or inside a function);
//  2. an address that the user names: --engine, SLIPWAY_ENGINE or _EXPERIMENTAL_DAGGER_RUNNER_HOST;
//  3. a container runtime that answers: the pinned engine image in it;
//  4. the embedded engine (package embedded): Linux, with the privileges it needs;
//  5. none: an [*UnavailableError] that says what was tried and the fix for each.
//
// [Open] returns a [Session]. It owns the "dagger session" child process, so that an engine that dies cannot leave
// the program hanging: closing a session always ends, within a few seconds, whatever the engine does.
package engine
