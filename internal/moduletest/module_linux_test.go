package moduletest

import (
	"archive/tar"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite golden files")

// quick leaves out the checks that need the network: what they find is not the module's business.
var quick = []string{"--skip=staticcheck,vulnerabilities"}

// Every function of the module, called from another repository, on an engine that has seen none of it.
func TestModule(t *testing.T) {
	w := newWorld(t)
	t.Run("functions", w.functions)
	t.Run("generated", w.generated)
	p := newProject(t)
	for _, function := range []struct {
		name  string
		calls func(*testing.T, project)
	}{
		{"build", w.build}, {"binary", w.binary}, {"package", w.packages}, {"image", w.image}, {"smoke", w.smoke}, {"verify", w.verify},
		{"ship", w.ships}, {"publish", w.publish}, {"without git", w.withoutGit}, {"mistakes", w.mistakes},
	} {
		t.Run(function.name, func(t *testing.T) { function.calls(t, p.copied(t)) })
	}
}

// What people see first: the functions, and the help of one of them.
func (w world) functions(t *testing.T) {
	w = w.in(t)
	list := w.command(t.TempDir(), "dagger", "functions", "--progress=plain", "-m", repository(t))
	golden(t, "functions.golden", regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(list, ""))
	help := w.calls(newProject(t), "image", "--help")
	for _, text := range []string{"Builds the image of one app", "Directory of the project, with .git. [required]", "Platform, such as linux/arm64."} {
		assert.Contains(t, help, text)
	}
}

// golden compares a text with a file.
func golden(t *testing.T, file, text string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), text)
}

// What the engine generates fits to what is committed, and to go vet.
func (w world) generated(t *testing.T) {
	w = w.in(t)
	dir := filepath.Join(t.TempDir(), "slipway")
	files := w.command(repository(t), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for file := range strings.SplitSeq(strings.TrimSuffix(files, "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(repository(t), file))
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), data, 0o644))
	}
	w.command(dir, "git", "init", "-q")
	w.command(dir, "dagger", "develop", "--progress=plain")
	vet := exec.Command("go", "vet", "./...")
	vet.Dir = filepath.Join(dir, ".dagger")
	out, err := vet.CombinedOutput()
	assert.NoError(t, err, "%s", out)
}

func (w world) build(t *testing.T, p project) {
	w = w.in(t)
	w.calls(p, "build", "--source=.", "--target=linux/"+runtime.GOARCH, "export", "--path=out")
	found, err := fs.Glob(os.DirFS(p.path("out")), "*_*/hello*")
	require.NoError(t, err)
	assert.Equal(t, []string{"linux_" + runtime.GOARCH + "/hello"}, found)
	assert.Equal(t, "1.2.3", w.version(p, "out/linux_"+runtime.GOARCH+"/hello"))
	w.command(p.path("out"), "sha256sum", "-c", "checksums.txt")
}

// version is what a program says of itself.
func (w world) version(p project, program string) string {
	w.t.Helper()
	fields := strings.Fields(w.command(p.dir, p.path(program), "version"))
	require.NotEmpty(w.t, fields)
	return fields[0]
}

func (w world) binary(t *testing.T, p project) {
	w = w.in(t)
	w.calls(p, "binary", "--source=.", "--app=hello", "export", "--path=hello.bin")
	assert.Equal(t, "1.2.3", w.version(p, "hello.bin"))
}

func (w world) packages(t *testing.T, p project) {
	w = w.in(t)
	w.calls(p, "package", "--source=.", "--target=linux/"+runtime.GOARCH, "export", "--path=out")
	assert.FileExists(t, p.path("out/hello_1.2.3_linux_"+runtime.GOARCH+".tar.gz"))
}

// The image is a container like any other: it can be looked into, and pushed for a try.
func (w world) image(t *testing.T, p project) {
	w = w.in(t)
	s := newStore(t, w.address, w.ca)
	w.environ = append(w.environ, "TRY_PASSWORD="+password)
	out := w.calls(p, "image", "--source=.", "with-registry-auth", "--address="+s.host(), "--username=ada", "--secret=env://TRY_PASSWORD",
		"publish", "--address="+s.host()+"/try/hello:one")
	var manifest v1.Manifest
	digest := s.get(t, "try/hello/manifests/one", &manifest)
	assert.Equal(t, s.host()+"/try/hello:one@"+digest, strings.TrimSpace(out))
	var config v1.ConfigFile
	s.get(t, "try/hello/blobs/"+manifest.Config.Digest.String(), &config)
	assert.Equal(t, "linux/"+runtime.GOARCH, config.Platform().String())
	assert.Equal(t, "1.2.3", config.Config.Labels["org.opencontainers.image.version"])
	assert.Equal(t, []string{"/app"}, config.Config.Entrypoint)

	w.calls(p, "image", "--source=.", "--platform=linux/arm64", "as-tarball", "export", "--path=arm64.tar")
	file, err := os.Open(p.path("arm64.tar"))
	require.NoError(t, err)
	defer file.Close()
	_, err = tar.NewReader(file).Next()
	require.NoError(t, err)
}

func (w world) smoke(t *testing.T, p project) {
	w = w.in(t)
	w.calls(p, "smoke", "--source=.", "--target=linux/"+runtime.GOARCH, "export", "--path=out")
	assert.Equal(t, map[string]string{"hello": "ok"}, steps(t, p.path("out/reports/run.json"), "smoke"))
}

// A broken project fails the call, with the card that the command shows. Its reports can be had all the same.
func (w world) verify(t *testing.T, p project) {
	w = w.in(t)
	w.calls(p, append(append([]string{"verify", "--source=."}, quick...), "export", "--path=good")...)
	assert.Contains(t, p.read("good/reports/junit.xml"), "TestText")
	assert.NotContains(t, p.read("good/reports/run.json"), "race: not checked")

	p.replace("greet/greet.go", "hello, ", "good day, ")
	told := w.refuses(p, append([]string{"verify", "--source=."}, quick...)...)
	_, failure, found := strings.Cut(told, "Error: ")
	require.True(t, found, told)
	assert.Contains(t, failure, "1 test failed")
	assert.Contains(t, failure, "greet/greet_test.go:7")
	assert.Contains(t, failure, "(exit 1)")

	w.calls(p, append(append([]string{"reports", "--source=."}, quick...), "export", "--path=bad")...)
	assert.Contains(t, p.read("bad/junit.xml"), "<failure")
	assert.Equal(t, "failed", steps(t, p.path("bad/run.json"), "verify")["test"])
}

// The same commit gives the same bytes and digests in the module as beside it.
func (w world) ships(t *testing.T, p project) {
	w = w.in(t)
	skip := quick[0] + ",test" // they have run in the module, and beside it they would run anew
	w.calls(p, "ship", "--source=.", skip, "export", "--path=../out")
	w.command(p.dir, w.slipway, "ship", skip)
	for _, file := range []string{"checksums.txt", "image/hello/index.json"} {
		assert.Equal(t, p.read("dist/"+file), p.read("../out/"+file), file)
	}
	assert.Contains(t, steps(t, p.path("../out/reports/run.json"), "smoke"), "hello")
}

// What is published is what slipway.yaml says, with the login and the key that the caller gives; none of it is in what is said.
func (w world) publish(t *testing.T, p project) {
	w = w.in(t)
	s := newStore(t, w.address, w.ca)
	key, public := keyPair(t)
	repository := s.host() + "/team/hello"
	p.replace("slipway.yaml", "labels: {team: ships}", "repository: "+repository)
	p.write("slipway.yaml", p.read("slipway.yaml")+"publish: {sign: {key: env://SIGNING_KEY}}\n")
	p.commit()
	w.environ = append(w.environ, "PUSH_PASSWORD="+password, "PRIVATE_KEY="+key)
	call := []string{"with-registry-auth", "--address=" + s.host(), "--username=ada", "--secret=env://PUSH_PASSWORD",
		"with-secret", "--name=SIGNING_KEY", "--value=env://PRIVATE_KEY", "with-variable", "--name=GOVULNDB", "--value=http://127.0.0.1:1",
		"publish", "--source=."}
	out, told, err := w.try(p.dir, "dagger", w.call(call)...)
	require.NoError(t, err, "%s\n%s", out, told)
	reference := strings.TrimSpace(out)
	assert.Regexp(t, "^"+repository+"@sha256:[0-9a-f]{64}$", reference)
	for _, secret := range []string{password, strings.Split(key, "\n")[1]} {
		assert.NotContains(t, out+told, secret)
	}
	for _, tag := range []string{"1.2.3", "1.2"} {
		assert.Equal(t, reference, repository+"@"+s.get(t, "team/hello/manifests/"+tag, nil), tag)
	}
	assert.Contains(t, told, "not checked", "the variable led to a database that does not answer")

	require.NoError(t, os.WriteFile(p.path("public.pem"), []byte(public), 0o644))
	w.environ = append(w.environ, "SLIPWAY_REGISTRY_HOST="+s.host(), "SLIPWAY_REGISTRY_USERNAME=ada", "SLIPWAY_REGISTRY_PASSWORD="+password)
	w.command(p.dir, w.slipway, "verify-release", reference, "--key", "public.pem")

	before := s.asked.Load()
	assert.Equal(t, reference, strings.TrimSpace(w.calls(p, call...)))
	assert.Greater(t, s.asked.Load(), before, "it is never answered from a cache")
}

// keyPair is an ECDSA key pair as PEM.
func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	open, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: open}))
}

// Without .git there is no version, and that is said.
func (w world) withoutGit(t *testing.T, p project) {
	w = w.in(t)
	require.NoError(t, os.RemoveAll(p.path(".git")))
	out, told, err := w.try(p.dir, "dagger", w.call([]string{"binary", "--source=.", "export", "--path=hello.bin"})...)
	require.NoError(t, err, "%s\n%s", out, told)
	assert.Contains(t, told, "not a git repository")
	assert.Equal(t, "0.0.0-unversioned", w.version(p, "hello.bin"))
}

// What cannot be meant is refused in the command's words.
func (w world) mistakes(t *testing.T, p project) {
	w = w.in(t)
	for text, call := range map[string][]string{
		`there is no app "nobody"`:                    {"binary", "--source=.", "--app=nobody"},
		`there is no such check`:                      {"verify", "--source=.", "--skip=tests"},
		`there is no such verb`:                       {"reports", "--source=.", "--verb=publish"},
		"slipway publish does not know where to push": {"publish", "--source=."},
	} {
		assert.Contains(t, w.refuses(p, call...), text)
	}
}

// steps are those of a stage in a report, with their status.
func steps(t *testing.T, file, stage string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var run struct {
		Stages []struct {
			Name  string
			Steps []struct{ Name, Status string }
		}
	}
	require.NoError(t, json.Unmarshal(data, &run))
	found := map[string]string{}
	for _, s := range run.Stages {
		for _, step := range s.Steps {
			if s.Name == stage {
				found[step.Name] = step.Status
			}
		}
	}
	return found
}
