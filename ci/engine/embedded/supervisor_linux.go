package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startPatience = 2 * time.Minute // a cache that is checked or reset takes its time
	// reportPatience is how long a supervisor may say nothing: it has startPatience itself, after the last engine has ended.
	reportPatience = startPatience + previousEnds + 30*time.Second
	stopPatience   = 6 * time.Minute // the engine gives itself five to sync its databases
	previousEnds   = 30 * time.Second
	idleCheck      = 5 * time.Second
)

// supervisor owns one engine. Its life is the engine's life.
type supervisor struct {
	launch  launch
	layout  layout
	mu      sync.Mutex
	state   State
	used    time.Time     // last sign of a client
	stop    chan struct{} // closed by the first reason to stop
	stopped sync.Once
	ended   chan struct{}  // closed when state.End is known
	told    sync.WaitGroup // watchers who have not heard it yet
}

// supervise is the supervisor's process. It never returns before the engine is gone.
//
// The thread is locked: a parent-death signal comes when the thread that started the child ends, not the process.
func supervise() int {
	runtime.LockOSThread()
	reports := os.NewFile(3, "reports")
	closeInherited(reports)
	var l launch
	if err := json.NewDecoder(os.Stdin).Decode(&l); err != nil {
		return tell(reports, fmt.Errorf("read launch: %w", err))
	}
	detachInput()
	s := &supervisor{launch: l, layout: layout{cache: filepath.Dir(l.Dir), instance: filepath.Base(l.Dir), temp: "/tmp"}, stop: make(chan struct{}), ended: make(chan struct{})}
	s.state = State{Phase: PhaseStarting, Version: l.Version, Address: s.layout.address(), Supervisor: os.Getpid(), Since: time.Now(),
		Idle: l.Idle.String(), Insecure: l.Insecure, Directory: l.Dir, Log: s.layout.log()}
	if err := s.run(reports); err != nil {
		fmt.Fprintln(os.Stderr, "slipway:", err)
		return tell(reports, err)
	}
	return 0
}

func tell(reports *os.File, err error) int {
	var r report
	code := 0
	if err != nil {
		r.Error, code = err.Error(), 1
	}
	_ = json.NewEncoder(reports).Encode(r) // the starter may be gone; the log has it too
	reports.Close()
	return code
}

// closeInherited closes what our starter's starter forgot: a pipe that stays open would keep its reader waiting.
// What the Go runtime opened is close-on-exec, so what is not has come from outside.
func closeInherited(keep *os.File) {
	unix.CloseOnExec(int(keep.Fd()))
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, entry := range entries {
		var fd int
		if _, err := fmt.Sscan(entry.Name(), &fd); err != nil || fd <= 3 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
}

func detachInput() {
	if null, err := os.Open(os.DevNull); err == nil {
		_ = unix.Dup2(int(null.Fd()), 0)
		null.Close()
	}
}

// run holds the supervisor's lock while it runs. The engine holds its own, for as long as any process of it lives.
func (s *supervisor) run(reports *os.File) error {
	mine, err := tryLock(s.layout.supervisorLock())
	if err != nil {
		return err
	}
	if mine == nil {
		return errors.New("another supervisor is running")
	}
	defer mine.Close()
	if err := writeIdentity(mine); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), previousEnds)
	defer cancel()
	engineLock, err := waitLock(ctx, s.layout.engineLock(), func() {})
	if err != nil {
		return fmt.Errorf("processes of an earlier engine are still ending: %w", err)
	}
	defer engineLock.Close()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	listener, err := s.listen()
	if err != nil {
		return err
	}
	defer os.Remove(s.layout.controlSocket())
	defer listener.Close()
	go s.serve(listener)
	return s.engine(engineLock, signals, reports)
}

// listen replaces stale sockets: we hold the lock, so nobody is behind them.
func (s *supervisor) listen() (net.Listener, error) {
	for _, path := range []string{s.layout.controlSocket(), s.layout.engineSocket()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("remove stale socket: %w", err)
		}
	}
	old := unix.Umask(0o177)
	defer unix.Umask(old)
	listener, err := net.Listen("unix", s.layout.controlSocket())
	if err != nil {
		return nil, fmt.Errorf("listen for callers: %w", err)
	}
	return listener, nil
}

func (s *supervisor) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go s.answer(conn)
	}
}

func (s *supervisor) answer(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(controlPatience))
	var request controlRequest
	if err := json.NewDecoder(conn).Decode(&request); err != nil {
		return
	}
	watches := request.Op == opWatch && s.admit()
	_ = json.NewEncoder(conn).Encode(s.handle(request.Op)) // a caller that has gone needs no answer
	if watches {
		defer s.told.Done()
		s.tellEnd(conn)
	}
}

// admit takes in a watcher, who must be told of the end. Once the end has come, its first answer says so already.
func (s *supervisor) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.End == "" {
		s.told.Add(1)
	}
	return s.state.End == ""
}

// tellEnd keeps a watcher until the engine has ended, or the watcher has gone.
func (s *supervisor) tellEnd(conn net.Conn) {
	gone := make(chan struct{})
	_ = conn.SetDeadline(time.Time{})
	go func() {
		defer close(gone)
		_, _ = conn.Read(make([]byte, 1))
	}()
	select {
	case <-gone:
		return
	case <-s.ended:
	}
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_ = json.NewEncoder(conn).Encode(s.handle(opWatch))
}

// end tells the watchers how the engine ended, or that it is about to. Only the first word counts.
func (s *supervisor) end(how string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.End == "" {
		s.state.End = how
		close(s.ended)
	}
}

// handle runs under the lock that requestStop takes too: a caller that joined is seen by the idle check, and a caller that
// comes later sees "stopping".
func (s *supervisor) handle(op string) State {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch op {
	case opJoin:
		s.used = time.Now()
	case opStop:
		s.stopping()
	}
	state := s.state
	if op == opStatus && state.Engine != 0 {
		state.Connections, _ = connections(state.Engine)
	}
	return state
}

// stopping must be called with the mutex held.
func (s *supervisor) stopping() {
	s.stopped.Do(func() {
		s.state.Phase = PhaseStopping
		close(s.stop)
	})
}

func (s *supervisor) setPhase(phase Phase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Phase != PhaseStopping {
		s.state.Phase = phase
	}
	s.used = time.Now()
}

// engine starts everything, reports once it answers, and waits for the end. What it started is gone when it returns.
func (s *supervisor) engine(engineLock *os.File, signals <-chan os.Signal, reports *os.File) error {
	groups, err := newCgroups(s.launch.Group, s.launch.ID)
	if err != nil {
		return err
	}
	defer groups.remove()
	p, err := startNamespace(s.launch, s.layout, groups, engineLock)
	if err != nil {
		return err
	}
	defer p.kill()
	engineLock.Close() // from here on the engine alone holds it
	s.mu.Lock()
	s.state.Engine, s.state.Network = p.engine.Process.Pid, p.slirp.Process.Pid
	s.mu.Unlock()
	if err := s.ready(p); err != nil {
		return err
	}
	tell(reports, nil)
	s.setPhase(PhaseRunning)
	err = s.watch(p, signals, groups)
	s.told.Wait() // each has a deadline
	return err
}

func (s *supervisor) ready(p *processes) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), startPatience, fmt.Errorf("no answer within %s", startPatience))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- answers(ctx, s.layout.engineSocket(), s.launch.Version) }()
	select {
	case err := <-done:
		if err != nil {
			return err
		}
	case <-p.engineDone:
		return errors.New("the engine ended while it started")
	case <-p.slirpDone:
		return errors.New("slirp4netns ended while the engine started")
	}
	return os.Chmod(s.layout.engineSocket(), 0o600)
}

// watch waits for a reason to end, and ends.
func (s *supervisor) watch(p *processes, signals <-chan os.Signal, groups cgroups) error {
	ticker := time.NewTicker(min(idleCheck, s.launch.Idle))
	defer ticker.Stop()
	for {
		select {
		case <-p.engineDone:
			s.end(endOf(p.engine.ProcessState, groups.oomKills()))
			return fmt.Errorf("the engine died: %s", s.handle(opWatch).End)
		case <-p.slirpDone:
			s.end("its network helper, slirp4netns, died")
			return errors.New("slirp4netns died: without a network the engine is of no use")
		case <-signals:
			s.requestStop()
		case <-ticker.C:
			s.stopWhenIdle()
		case <-s.stop:
			s.end("it was asked to stop (slipway engine stop, or the system)")
			return p.end(stopPatienceFor(context.Background(), s.layout.engineSocket(), s.launch.Version))
		}
	}
}

func (s *supervisor) requestStop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping()
}

func (s *supervisor) stopWhenIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	open, err := connections(s.state.Engine)
	if err != nil || open > 0 {
		s.used = time.Now()
		return
	}
	if time.Since(s.used) >= s.launch.Idle {
		s.stopping()
	}
}

// errSilentSupervisor says that a supervisor reported neither an engine nor an error.
var errSilentSupervisor = errors.New("its supervisor was silent for too long, and was ended; try again")

// spawnSupervisor starts a detached supervisor and waits until it reports.
func spawnSupervisor(ctx context.Context, opts Options, l launch) error {
	self, err := opts.self()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	log, err := openLog(opts.layout().log())
	if err != nil {
		return err
	}
	defer log.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	cmd, err := supervisorCommand(self, l, log, writer)
	writer.Close()
	if err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // it outlives us as a rule; if not, it must not stay as a zombie
	heard, cancel := context.WithTimeoutCause(ctx, reportPatience, errSilentSupervisor)
	defer cancel()
	err = awaitReport(heard, reader, opts.layout().log())
	if errors.Is(err, errSilentSupervisor) {
		_ = cmd.process.Kill() // it holds the lock that the next one needs, and its children end with it
	}
	return err
}

func supervisorCommand(self []string, l launch, log, reports *os.File) (*detached, error) {
	content, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	input, feed, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer input.Close()
	cmd, err := startDetached(append(self, supervisorArgument), []*os.File{input, log, log, reports})
	if err != nil {
		feed.Close()
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	_, err = feed.Write(content)
	feed.Close()
	if err != nil {
		return nil, fmt.Errorf("tell the supervisor what to start: %w", err)
	}
	return cmd, nil
}

// detached is a process of a session of its own.
type detached struct{ process *os.Process }

func (d *detached) Wait() error {
	_, err := d.process.Wait()
	return err
}

// startDetached uses os.StartProcess: exec.Cmd would tie the child to goroutines that copy its output.
func startDetached(argv []string, files []*os.File) (*detached, error) {
	process, err := os.StartProcess(argv[0], argv, &os.ProcAttr{
		Dir: "/", Files: files,
		Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, err
	}
	return &detached{process}, nil
}

// openLog starts a new log and keeps the last one beside it.
func openLog(path string) (*os.File, error) {
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("keep last log: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return file, nil
}

func awaitReport(ctx context.Context, reader *os.File, log string) error {
	type answer struct {
		report report
		err    error
	}
	heard := make(chan answer, 1)
	go func() {
		var a answer
		a.err = json.NewDecoder(reader).Decode(&a.report)
		heard <- a
	}()
	select {
	case <-ctx.Done():
		reader.Close()
		return fmt.Errorf("wait for the engine to start: %w", context.Cause(ctx))
	case a := <-heard:
		if errors.Is(a.err, io.EOF) {
			return startError("its supervisor ended", log)
		}
		if a.err != nil {
			return startError(a.err.Error(), log)
		}
		if a.report.Error != "" {
			return startError(a.report.Error, log)
		}
		return nil
	}
}
