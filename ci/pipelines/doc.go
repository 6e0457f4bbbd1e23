// Package pipelines holds the stages that run in containers: verify, build, package, image, smoke. Most pipelines need only
// package ship, which composes them; use this package to put the stages together in another way.
//
//	stages := pipelines.New(pipelines.Config{Client: client, Project: project, …})
//	verdict, err := stages.Verify(ctx, nil)
//	built, err := stages.Build(ctx, pipelines.Output{Dir: "out"})
//
// A [Stages] value knows the project, the engine's client and the root filesystems. It is a value: copies share the engine's
// cache and nothing else, and its methods may be called at the same time.
//
// # Two kinds of methods
//
// The signature tells which: one that returns a *dagger.X only describes work and cannot fail ([Stages.Workshop]); one that
// takes a context does the work. Its error is about the engine, never about the project: what does not compile or does not
// pass is in the [report.Recorder] that the configuration names.
//
// # What is cached
//
// Every command runs as an unprivileged user through a small helper ("inbox"), which keeps its output, its exit code and the
// time it started, so that a failure is a result like any other. A result that the engine replays is reported as cached, with
// the time that it saved. A failure is never replayed: it runs again. A build is keyed by the files that "go list" names for
// it, a change elsewhere compiles nothing.
package pipelines
