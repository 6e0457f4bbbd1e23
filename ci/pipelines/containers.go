package pipelines

import (
	"embed"
	"io/fs"
	"iter"
	"strings"

	"dagger.io/dagger"
)

// toolchain is the root in which builds run: Go and nothing else.
func (s Stages) toolchain() *dagger.Container {
	return s.Client.Container().Import(s.Client.Host().File(s.Toolchain))
}

// testRoot is the root in which tests run: a small Debian with Go mounted into it, or the toolchain alone when there is none.
func (s Stages) testRoot() *dagger.Container {
	if !s.HasTestRoot() {
		return s.workshop(s.made.base())
	}
	debian := s.Client.Container().WithRootfs(s.unpacked(s.TestRoot)).
		WithMountedDirectory(goRoot, s.made.base().Directory(goRoot))
	return s.workshop(debian).WithEnvVariable("CGO_ENABLED", "1")
}

// unpacked is the root filesystem in a compressed tar file of the machine. It is unpacked as root, to keep the owners.
func (s Stages) unpacked(file string) *dagger.Directory {
	const archive, dir = "/slipway/root.tar.gz", "/rootfs"
	return s.made.base().
		WithMountedFile(inboxPath, s.made.inbox().File(outDir+"/inbox")).
		WithMountedFile(archive, s.Client.Host().File(file)).
		WithExec([]string{inboxPath, "untar", archive, dir}).
		Directory(dir)
}

// buildRoot is the toolchain, ready to run commands in.
func (s Stages) buildRoot() *dagger.Container { return s.workshop(s.made.base()) }

// workshop makes a root ready for the go command: an unprivileged user with a home, caches, the machine's proxies and
// certificates, and inbox.
func (s Stages) workshop(root *dagger.Container) *dagger.Container {
	return s.settled(root).
		WithMountedFile(inboxPath, s.made.inbox().File(outDir+"/inbox"))
}

// settled is a workshop without inbox, in which inbox itself is built.
func (s Stages) settled(root *dagger.Container) *dagger.Container {
	empty := s.Client.Directory()
	mine := dagger.ContainerWithDirectoryOpts{Owner: owner}
	c := root.
		WithNewFile("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nslipway:x:1000:1000:slipway:"+home+":/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n").
		WithNewFile("/etc/group", "root:x:0:\nslipway:x:1000:\nnogroup:x:65534:\n").
		WithDirectory(home, empty.WithNewDirectory(".cache", dagger.DirectoryWithNewDirectoryOpts{Permissions: 0o755}), mine).
		WithDirectory(outDir, empty, mine).
		WithDirectory(resultDir, empty, mine)
	c = s.withCaches(c)
	for _, kv := range goEnv {
		c = c.WithEnvVariable(kv[0], kv[1])
	}
	c = s.Machine.lend(s.Client, c)
	if s.NoCache {
		c = c.WithEnvVariable("SLIPWAY_RUN", s.RunID)
	}
	return c.WithUser(owner)
}

// goEnv is the environment of every go command. GOTOOLCHAIN=local: the toolchain is the one that was chosen, never another
// that a go line asks for. CGO is off unless a root with a C compiler turns it on.
var goEnv = [][2]string{
	{"PATH", goRoot + "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	{"HOME", home},
	{"USER", "slipway"},
	{"GOPATH", goPath},
	{"GOCACHE", buildCache},
	{"STATICCHECK_CACHE", lintCache},
	{"GOTOOLCHAIN", "local"},
	{"GOFLAGS", "-buildvcs=false"},
	{"GOTELEMETRY", "off"},
	{"CGO_ENABLED", "0"},
	{"LANG", "C.UTF-8"},
	{"SSL_CERT_FILE", caBundle},
}

//go:embed inbox/*.go inbox/capacity/*.go inbox/outline/*.go
var inboxSource embed.FS

// inboxModule is the helper's module in its container: with the import path that it has here, so that its packages find
// each other.
const inboxModule = "module github.com/slipway-ci/slipway/ci/pipelines/inbox\n\ngo 1.25\n"

// buildInbox compiles the helper that runs in the containers, with the project's own toolchain.
func (s Stages) buildInbox() *dagger.Container {
	source := s.Client.Directory().WithNewFile("go.mod", inboxModule)
	for name, text := range inboxFiles() {
		source = source.WithNewFile(name, text)
	}
	return s.settled(s.made.base()).
		WithMountedDirectory(sourceDir, source).
		WithWorkdir(sourceDir).
		WithExec([]string{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", outDir + "/inbox", "."})
}

// inboxFiles is the helper's source without its tests, by the name in its module, in the order of names.
func inboxFiles() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		err := fs.WalkDir(inboxSource, "inbox", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || isTest(name) {
				return err
			}
			data, err := inboxSource.ReadFile(name)
			if err == nil && !yield(strings.TrimPrefix(name, "inbox/"), string(data)) {
				return fs.SkipAll
			}
			return err
		})
		if err != nil {
			panic(err) // the files are part of this program
		}
	}
}
