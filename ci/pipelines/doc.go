// Package pipelines holds the stages that run in containers: verify, build, package, image, smoke.
//
// A [Stages] value knows the project, the engine's client and the two root filesystems. Its methods are of two kinds, and
// the signature tells which: one that returns a *dagger.X only describes work and cannot fail; one that takes a context
// does the work.
//
//	stages := pipelines.New(pipelines.Config{Client: client, Project: project, …})
//	verdict, err := stages.Verify(ctx)
//	built, err := stages.Build(ctx)
//
// Every command runs as an unprivileged user through a small helper ("inbox"), which keeps its output and its exit code, so
// that a failure is a result like any other. A result that the engine replays from its cache is reported as cached, with
// the time that it saved; a failure is never replayed: it runs again.
package pipelines
