// Package project finds out what there is to ship: the programs of a
// repository, what they are built for, the version, the Go that builds them.
//
// Any Go repository works without a configuration. What is not said in
// slipway.yaml is inferred, and every inferred value comes with its reason:
//
//	p, err := project.Load(ctx, project.Options{Source: ".", PinnedGo: "1.26.8", Getenv: os.Getenv})
//	for _, r := range p.Reasons {
//		fmt.Println(r.What, r.Value, r.Why)
//	}
//
// What may be relied on:
//
//   - Loading changes nothing, uses no network and never runs the host's go
//     command. It runs git, and works without it.
//   - The same commit gives the same Project on every machine. Dates are the
//     commit's, abbreviated commits have seven digits everywhere.
//   - A wrong slipway.yaml gives one *ConfigError with all problems, each with
//     line, column, field and, where one is near, what was probably meant.
//     A directory that cannot be shipped at all gives a *SourceError with the
//     next step.
//   - Symbolic links are never followed out of the repository.
package project
