// Package host rolls out to machines with systemd, over SSH or on the machine itself.
//
//	release, err := spec.Render()
//	driver, err := host.New(host.Options{Service: spec.Service, Hosts: hosts, Helpers: helpers})
//	facts, err := driver.Preflight(ctx, release) // what stands in the way, of all hosts
//	err = driver.Upload(ctx, release, nil)       // only what is not there yet
//	err = driver.Stage(ctx, release)
//	result := rollout.Runner{Driver: driver, Owner: owner}.Run(ctx, rollout.Spec{Release: release.Release, Targets: driver.Targets()})
//
// [Spec.Render] makes a release of a service, as a pure function: units, files, and their digests. A [Driver] talks to a helper
// of ours on each host (package protocol), which it installs where it is missing. Nothing that a release holds ever reaches a
// shell: that sees the helper's path alone.
package host
