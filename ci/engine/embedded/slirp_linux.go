package embedded

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	slirpPatience = 20 * time.Second
	// slirpResolver is where slirp4netns passes name lookups on to the host's resolver, one on 127.0.0.53 included.
	slirpResolver = "10.0.2.3"
)

// startSlirp gives the network namespace of process pid a way out. The program comes from the engine's own root but runs
// in the host's mount and network namespaces, where the host's resolv.conf is.
//
// It ends when exit is closed, and that happens with our death too; a parent-death signal is the second string.
func startSlirp(root string, pid int, exit, log *os.File) (*exec.Cmd, error) {
	argv, err := foreignCommand(root, "usr/bin/slirp4netns")
	if err != nil {
		return nil, err
	}
	ready, readyWriter, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	argv = append(argv, slirpArguments(pid)...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = root, []string{} // the library path is relative to it
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{readyWriter, exit}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	readyWriter.Close()
	if err != nil {
		return nil, fmt.Errorf("start slirp4netns: %w", err)
	}
	if err := slirpReady(ready); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("%w (is /dev/net/tun there? try: modprobe tun)", err)
	}
	return cmd, nil
}

// slirpArguments: the sandbox is a mount namespace of its own with all capabilities dropped.
func slirpArguments(pid int) []string {
	return []string{"--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox", "--ready-fd=3", "--exit-fd=4", strconv.Itoa(pid), "tap0"}
}

func slirpReady(ready *os.File) error {
	if err := ready.SetReadDeadline(time.Now().Add(slirpPatience)); err != nil {
		return err
	}
	n, err := ready.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("slirp4netns made no network within %s", slirpPatience)
	}
	if n == 0 {
		return errors.New("slirp4netns ended before it made a network")
	}
	return nil
}

// foreignCommand runs a program of another root without entering it: by that root's own loader and libraries. It must be
// run in that root's directory.
func foreignCommand(root, program string) ([]string, error) {
	path := filepath.Join(root, program)
	file, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type != elf.PT_INTERP {
			continue
		}
		name := make([]byte, segment.Filesz)
		if _, err := segment.ReadAt(name, 0); err != nil {
			return nil, fmt.Errorf("read loader of %s: %w", path, err)
		}
		loader := filepath.Join(root, mergedUsr(strings.TrimRight(string(name), "\x00")))
		return []string{loader, "--argv0", filepath.Base(program), "--library-path", libraryPath(root), path}, nil
	}
	return []string{path}, nil
}

// libraryPath lists the root's library directories, relative to it: a colon in the root's own path would end an entry.
func libraryPath(root string) string {
	dirs, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
	for i, dir := range dirs {
		dirs[i] = filepath.Join("usr/lib", filepath.Base(dir))
	}
	return strings.Join(append(dirs, "usr/lib"), ":")
}
