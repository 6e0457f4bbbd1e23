package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

const mostLines = 1 << 20

// logs writes what all slots log. To follow it ends when nobody reads it any more.
func (s *service) logs(ctx context.Context, r protocol.Request, lines io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sources, err := s.sources(r)
	if err != nil {
		return err
	}
	if f, ok := lines.(*os.File); ok && r.Follow {
		go func() { abandoned(ctx, f); cancel() }()
	}
	failed := make([]error, len(sources))
	var reading sync.WaitGroup
	for i, argv := range sources {
		reading.Go(func() {
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "LC_ALL=C"), lines, lines
			if err := cmd.Run(); err != nil && ctx.Err() == nil {
				failed[i] = fmt.Errorf("read log: %w", err)
			}
		})
	}
	reading.Wait()
	return errors.Join(failed...)
}

// sources are the commands that read the logs: the journal, and the files of releases that write to one.
func (s *service) sources(r protocol.Request) ([][]string, error) {
	tail := strconv.Itoa(min(max(r.Tail, 0), mostLines))
	journal := []string{"journalctl", "--no-pager", "--quiet", "--output=short-iso", "--lines=" + tail,
		"--unit=" + s.unit(rollout.Blue), "--unit=" + s.unit(rollout.Green)}
	if r.Follow {
		journal = append(journal, "--follow")
	}
	found := [][]string{journal}
	files := map[string]bool{}
	for _, name := range []string{rollout.Blue, rollout.Green} {
		unit, err := readUnit(s.units, s.unit(name))
		if err != nil {
			return nil, err
		}
		release, err := s.release(unit.release)
		if err != nil || release.LogFile == "" || files[release.LogFile] {
			continue // nothing was deployed there
		}
		files[release.LogFile] = true
		argv := []string{"tail", "-n", tail}
		if r.Follow {
			argv = append(argv, "-F")
		}
		found = append(found, append(argv, "--", s.path(release.LogFile)))
	}
	return found, nil
}

// pollfd is that of poll(2).
type pollfd struct {
	fd      int32
	events  int16
	revents int16
}

// abandoned waits until the other end of a pipe or socket is closed. Writing would tell too, but a quiet service writes nothing.
func abandoned(ctx context.Context, f *os.File) {
	const failed, hungUp = 0x8, 0x10 // POLLERR, POLLHUP: they are told without being asked for
	for ctx.Err() == nil {
		p := pollfd{fd: int32(f.Fd())}
		limit := syscall.NsecToTimespec(time.Second.Nanoseconds())
		_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
		if p.revents&(failed|hungUp) != 0 || (errno != 0 && errno != syscall.EINTR) {
			return
		}
	}
}
