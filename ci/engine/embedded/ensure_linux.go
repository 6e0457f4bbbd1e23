package embedded

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// joinPatience is how long a running engine may take to answer a caller.
	joinPatience = 20 * time.Second
	// joinSilence is when people hear that it takes its time.
	joinSilence = 2 * time.Second
	// endPatience is how long an engine that stops may take: what it gives itself, and some.
	endPatience = stopPatience + 30*time.Second
)

// Ensure returns an engine that answers: the one that runs, or a new one. Calls in parallel get the same.
func Ensure(ctx context.Context, opts Options) (Endpoint, error) {
	if err := opts.validate(); err != nil {
		return Endpoint{}, err
	}
	holder, _ := os.ReadFile(opts.layout().supervisorLock()) // without one there is no engine to join
	endpoint, err := join(ctx, opts)
	switch {
	case errors.Is(err, errNotRunning):
		return start(ctx, opts, nil)
	case errors.Is(err, errUseless):
		return start(ctx, opts, holder)
	}
	return endpoint, err
}

var (
	// errNotRunning means that there is no engine to join, yet or any more.
	errNotRunning = errors.New("no engine is running")
	// errUseless means that an engine of ours runs, and that it is not what answers on its socket, or that nothing does.
	errUseless = errors.New("the engine that runs is of no use")
)

// join is the fast path: two short exchanges over sockets, and no lock.
func join(ctx context.Context, opts Options) (Endpoint, error) {
	l := opts.layout()
	state, err := ask(ctx, l.controlSocket(), opJoin)
	if err != nil || state.Phase != PhaseRunning {
		return Endpoint{}, errNotRunning
	}
	if state.Insecure != opts.InsecureRootCapabilities {
		return Endpoint{}, errors.New("this engine runs with another security setting: stop it first")
	}
	record, err := readRun(l)
	if err != nil {
		return Endpoint{}, errNotRunning
	}
	defer time.AfterFunc(joinSilence, func() { opts.progress("waiting for the engine that runs to answer") }).Stop()
	patient, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	if err := answers(patient, l.engineSocket(), Version); err != nil {
		if ctx.Err() != nil {
			return Endpoint{}, context.Cause(ctx)
		}
		if free, _ := free(l.engineLock()); free {
			return Endpoint{}, errNotRunning
		}
		return Endpoint{}, fmt.Errorf("%w: %w", errUseless, err)
	}
	return record.endpoint(l), nil
}

// start takes the start lock and starts an engine, or joins one that somebody else has started meanwhile. useless is what
// the lock file of an engine said that is known to be of no use.
func start(ctx context.Context, opts Options, useless []byte) (Endpoint, error) {
	if err := privileged(); err != nil {
		return Endpoint{}, err
	}
	l := opts.layout()
	if err := os.MkdirAll(l.dir(), 0o700); err != nil {
		return Endpoint{}, fmt.Errorf("create engine's directory: %w (choose another place with XDG_CACHE_HOME)", err)
	}
	lock, err := waitLock(ctx, l.startLock(), func() { opts.progress("waiting for another slipway that is starting the engine") })
	if err != nil {
		return Endpoint{}, err
	}
	defer lock.Close()
	if now, _ := os.ReadFile(l.supervisorLock()); len(useless) > 0 && bytes.Equal(now, useless) {
		if err := endUseless(ctx, opts, l); err != nil {
			return Endpoint{}, err
		}
	}
	return startLocked(ctx, opts, l)
}

// endUseless ends an engine of ours that serves nobody any more.
func endUseless(ctx context.Context, opts Options, l layout) error {
	opts.progress("the engine that runs does not answer: ending it")
	return forceEnd(ctx, l)
}

// startLocked builds and starts; the caller holds the start lock.
func startLocked(ctx context.Context, opts Options, l layout) (Endpoint, error) {
	if endpoint, joined, err := settle(ctx, opts, l); joined || err != nil {
		return endpoint, err
	}
	parts, err := build(ctx, opts)
	if err != nil {
		return Endpoint{}, err
	}
	found := lookForDamage(filepath.Join(l.stateDir(), stateRoot))
	found.bolt = found.bolt || databaseCrash(l.log()) // the last engine's log: it would come to the same place again
	launch, err := prepare(opts, l, parts.lower)
	if err != nil {
		return Endpoint{}, err
	}
	opts.progress("starting the engine")
	reset, err := launchOrReset(ctx, opts, l, launch, found)
	if err != nil {
		return Endpoint{}, err
	}
	if reset {
		opts.progress("cache reset: the engine's cache could not be read and was started anew")
	}
	endpoint := parts.record.endpoint(l)
	endpoint.Started, endpoint.Built, endpoint.Reset = true, parts.built, reset
	return endpoint, nil
}

// launchOrReset starts the engine. When its databases are damaged, it is started without them, and reset is true.
func launchOrReset(ctx context.Context, opts Options, l layout, launch launch, found damage) (reset bool, err error) {
	if found.bolt {
		return true, startAnew(ctx, opts, l, launch)
	}
	if found.sqlite {
		if err := dropSQLite(filepath.Join(l.stateDir(), stateRoot)); err != nil {
			return false, fmt.Errorf("remove a damaged database: %w", err)
		}
	}
	err = spawnSupervisor(ctx, opts, launch)
	if err != nil && databaseCrash(l.log()) {
		return true, startAnew(ctx, opts, l, launch)
	}
	return found.sqlite || wasReset(l.log()), err
}

// silences is how many times a supervisor may fail to answer before it counts as wedged.
const silences = 2

// settle waits until an engine that is on its way up or down has arrived. joined means that it runs and answers; else
// there is none any more. One whose supervisor does not answer at all is ended.
func settle(ctx context.Context, opts Options, l layout) (endpoint Endpoint, joined bool, err error) {
	var told Phase
	for silent := 0; silent < silences; {
		if free, err := free(l.supervisorLock()); free || err != nil {
			return Endpoint{}, false, err
		}
		state, err := ask(ctx, l.controlSocket(), opStatus)
		if err != nil {
			silent++
		}
		if err == nil && state.Phase == PhaseRunning {
			endpoint, err := join(ctx, opts)
			if errors.Is(err, errUseless) {
				return Endpoint{}, false, endUseless(ctx, opts, l)
			}
			return endpoint, true, err
		}
		if err == nil && state.Phase != told {
			told = state.Phase
			opts.progress("waiting for an engine that is " + string(told))
		}
		if err := pause(ctx, 2*lockPoll); err != nil {
			return Endpoint{}, false, fmt.Errorf("wait for the engine: %w", err)
		}
	}
	return Endpoint{}, false, endUseless(ctx, opts, l)
}

// waitFree waits until supervisor and engine have gone.
func waitFree(ctx context.Context, l layout, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, path := range []string{l.supervisorLock(), l.engineLock()} {
		for {
			free, err := free(path)
			if err != nil {
				return err
			}
			if free {
				break
			}
			if pause(ctx, lockPoll) != nil {
				return fmt.Errorf("the engine did not stop within %s, see %s", patience, l.log())
			}
		}
	}
	return nil
}

// prepare makes the directories and collects what the supervisor must know.
func prepare(opts Options, l layout, lower []string) (launch, error) {
	if err := openState(l.stateDir()); err != nil {
		return launch{}, err
	}
	if err := heal(l); err != nil {
		return launch{}, err
	}
	if err := roomToStart(opts, l); err != nil {
		return launch{}, err
	}
	if err := privateDir(l.sockets()); err != nil {
		return launch{}, err
	}
	if err := emptyDir(l.tmp(), 0o1777|os.ModeSticky); err != nil {
		return launch{}, fmt.Errorf("empty the engine's temporary directory: %w", err)
	}
	for _, dir := range []string{l.mnt(), l.content()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return launch{}, err
		}
	}
	if name, found := loopbackProxy(opts.getenv); found {
		opts.progress(name + " names this machine's loopback, which the engine's network cannot reach: give the proxy another address")
	}
	config, err := engineJSON(opts.GC, opts.InsecureRootCapabilities)
	if err != nil {
		return launch{}, err
	}
	group, err := groupName(l.dir())
	if err != nil {
		return launch{}, err
	}
	return launch{Group: group, ID: strings.ToLower(rand.Text()[:8]), Version: Version, Dir: l.dir(), Layers: l.layers(), Lower: lower, Sockets: l.sockets(),
		Config: config, Env: engineEnv(opts.getenv), CAs: HostCAs(opts.Getenv), Idle: opts.idle(), Insecure: opts.InsecureRootCapabilities}, nil
}

// privateDir makes a directory that is ours alone, and refuses one that is not: it may be in /tmp.
func privateDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("create socket directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is not a directory of this user alone: remove it", dir)
	}
	return nil
}

func startError(cause, log string) error {
	return fmt.Errorf("start the engine: %s; its log, %s, ends with:\n%s", cause, log, logTail(log))
}

func logTail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return lastLines(string(content[max(0, len(content)-16<<10):]), 15)
}

// wasReset knows the engine's own words for a cache that it threw away.
func wasReset(log string) bool {
	content, err := os.ReadFile(log)
	return err == nil && strings.Contains(string(content), "resetting all local cache state")
}

// databaseCrash says whether the engine died in its database. It resets a cache whose database gives an error, but a
// truncated file makes the library crash.
func databaseCrash(log string) bool {
	content, err := os.ReadFile(log)
	if err != nil {
		return false
	}
	text := string(content)
	crashed := strings.Contains(text, "panic:") || strings.Contains(text, "fatal error:") || strings.Contains(text, "unexpected fault address")
	return crashed && strings.Contains(text, "go.etcd.io/bbolt")
}

// startAnew does what the engine does with a cache that does not open: it removes it and starts. The directory has been
// checked to hold nothing else.
func startAnew(ctx context.Context, opts Options, l layout, launch launch) error {
	if err := waitFree(ctx, l, previousEnds); err != nil {
		return err
	}
	if err := openState(l.stateDir()); err != nil {
		return err
	}
	if err := emptyDir(filepath.Join(l.stateDir(), stateRoot), 0o700); err != nil {
		return fmt.Errorf("remove the cache that does not open: %w", err)
	}
	return spawnSupervisor(ctx, opts, launch)
}

func privileged() error {
	var header = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err == nil && data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0 && os.Geteuid() == 0 {
		return nil
	}
	return errors.New("the embedded engine needs root: run this with sudo, install a container runtime, or use --engine ADDRESS")
}

// parts are what a start needs.
type parts struct {
	lower  []string
	record runRecord
	built  bool
}

// build makes what is missing of the engine and its root.
func build(ctx context.Context, opts Options) (parts, error) {
	g, err := findGo(ctx, opts.Cache, inherited())
	if err != nil {
		return parts{}, err
	}
	root := rootLayer(dpkgArch(g.HostArch))
	runc, err := g.cgoLayer(runcLayer(), dpkgArch(g.HostArch))
	if err != nil {
		return parts{}, err
	}
	all := []layer{root, runc}
	for _, spec := range []goLayer{cniLayer(), engineLayer(), cliLayer()} {
		l, err := g.layer(spec)
		if err != nil {
			return parts{}, err
		}
		all = append(all, l)
	}
	if !all[3].exists(opts.layout().layers()) { // the engine itself, which takes the most
		if err := roomToBuild(opts, g); err != nil {
			return parts{}, err
		}
	}
	built, err := buildLayers(ctx, opts, "the engine", all)
	if err != nil {
		return parts{}, err
	}
	layers := opts.layout().layers()
	record := runRecord{CLI: filepath.Join(layers, all[4].base(), "dagger"), Codegen: filepath.Join(layers, all[3].base(), binDir, "codegen")}
	return parts{lower: []string{all[3].base(), all[2].base(), all[1].base(), all[0].base()}, record: record, built: built}, writeRun(opts.layout(), record)
}
