package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// proxyName is that of the proxy's program in its directory.
const proxyName = "slipway-proxy"

const (
	proxyStart  = 45 * time.Second // how long a new one may take to answer
	proxyRetire = 30 * time.Second // how long an old one may take for the requests that it still has
)

// proxySocket are the sockets that both services of a proxy share.
func (s *service) proxySocket() string { return s.name + "-proxy.socket" }

// proxyServices are the two services of a proxy, of which one runs, and both during an upgrade.
func (s *service) proxyServices() [2]string {
	return [2]string{s.unit("proxy-a"), s.unit("proxy-b")}
}

// installProxy makes the proxy of a release the one that runs: the first time, or in the place of another one. It goes on
// listening where it does: addresses change with the traffic.
func (s *service) installProxy(ctx context.Context, r manifest) error {
	p := r.Traffic.Proxy
	if p == nil {
		return nil
	}
	if err := s.proxyBinary(r); err != nil {
		return err
	}
	services := s.proxyServices()
	units, err := s.systemd.show(ctx, s.proxySocket(), services[0], services[1])
	if err != nil {
		return err
	}
	socket, err := readUnit(s.units, s.proxySocket())
	if err != nil {
		return err
	}
	if !units[s.proxySocket()].up() || !socket.there {
		return s.firstProxy(ctx, p)
	}
	if err := newAddressesFree(ctx, p, socket.text); err != nil {
		return err
	}
	if s.current(units, p) {
		return s.wakeProxy(ctx)
	}
	return s.upgradeProxy(ctx, p, units)
}

// proxyBinary puts the program where units name it.
func (s *service) proxyBinary(r manifest) error {
	sum, err := checkDigest(r.Digest)
	if err != nil {
		return err
	}
	dir := s.path(protocol.ProxyDir, r.Traffic.Proxy.Binary)
	if err := os.MkdirAll(dir, openTo); err != nil {
		return fmt.Errorf("install proxy: %w", err)
	}
	ours, err := openDisk(s.path(protocol.ProxyDir, ".."))
	if err != nil {
		return err
	}
	defer ours.Close()
	proxies := filepath.Base(protocol.ProxyDir)
	if err := widen(ours, ".", proxies, filepath.Join(proxies, r.Traffic.Proxy.Binary)); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, proxyName)); err == nil {
		return nil
	}
	source, err := s.store.OpenFile(s.releaseFile(sum, filepath.FromSlash(proxyFile)), os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("install proxy: %w", err)
	}
	defer source.Close()
	target, err := openDisk(dir)
	if err != nil {
		return err
	}
	defer target.Close()
	temporary := proxyName + ".new"
	f, err := target.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return fmt.Errorf("install proxy: %w", err)
	}
	if _, err := io.Copy(f, source); err != nil {
		f.Close()
		return fmt.Errorf("install proxy: %w", err)
	}
	if err := finish(f, temporary, 0o755); err != nil {
		return err
	}
	if err := target.Rename(temporary, proxyName); err != nil {
		return fmt.Errorf("install proxy: %w", err)
	}
	return syncDir(target, ".")
}

// writeProxyUnits writes some of the proxy's units, and tells systemd.
func (s *service) writeProxyUnits(ctx context.Context, p *protocol.Proxy, names ...string) error {
	changed := false
	for _, name := range names {
		wrote, err := writeUnit(s.units, name, "", p.Units[name])
		if err != nil {
			return err
		}
		changed = changed || wrote
	}
	if !changed {
		return nil
	}
	return s.systemd.reload(ctx)
}

func (s *service) firstProxy(ctx context.Context, p *protocol.Proxy) error {
	for _, address := range p.Listen {
		if err := listenFree(ctx, address); err != nil {
			return err
		}
	}
	services := s.proxyServices()
	if err := s.writeProxyUnits(ctx, p, s.proxySocket(), services[0], services[1]); err != nil {
		return err
	}
	if err := s.systemd.enable(ctx, s.proxySocket()); err != nil {
		return err
	}
	return s.wakeProxy(ctx)
}

func listenFree(ctx context.Context, address string) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return refuse("stop what listens there, choose another address (proxy: listen), or keep it as the load balancer and tell it where traffic goes (switch: command)",
			"the proxy is to listen on %s, which is taken: %v", address, err)
	}
	return listener.Close()
}

// newAddressesFree refuses addresses that a proxy does not have yet and that are somebody else's.
func newAddressesFree(ctx context.Context, p *protocol.Proxy, socket string) error {
	for _, address := range p.Listen {
		_, port, err := net.SplitHostPort(address)
		if err == nil && hasListen(socket, port) {
			continue
		}
		if err := listenFree(ctx, address); err != nil {
			return err
		}
	}
	return nil
}

// listenAs makes the proxy listen where a release wants it. Only this closes sockets, and only when addresses change: those who
// use the old ones are refused from now on.
func (s *service) listenAs(ctx context.Context, p *protocol.Proxy) error {
	socket, err := readUnit(s.units, s.proxySocket())
	if err != nil || socket.text == p.Units[s.proxySocket()] {
		return err
	}
	if err := newAddressesFree(ctx, p, socket.text); err != nil {
		return err
	}
	services := s.proxyServices()
	if err := s.writeProxyUnits(ctx, p, s.proxySocket()); err != nil {
		return err
	}
	if err := s.systemd.do(ctx, "stop", "--", s.proxySocket(), services[0], services[1]); err != nil {
		return fmt.Errorf("move the proxy: %w", err)
	}
	return nil
}

// current says whether what runs is what the units of a release say.
func (s *service) current(units map[string]unitState, p *protocol.Proxy) bool {
	for _, unit := range s.proxyServices() {
		file, err := readUnit(s.units, unit)
		if err != nil || !file.whole() || file.text != p.Units[unit] {
			return false
		}
		if units[unit].runs() && !s.runsProgram(units[unit], p.Binary) {
			return false
		}
	}
	return true
}

// runsProgram says whether a process is of a program. One that cannot be asked is taken to be.
func (s *service) runsProgram(u unitState, sum string) bool {
	target, err := os.Readlink(s.path("proc", u["MainPID"], "exe"))
	return err != nil || strings.Contains(target, "/"+sum+"/")
}

// wakeProxy starts a proxy that is down, and waits for one that has just been started again.
func (s *service) wakeProxy(ctx context.Context) error {
	services := s.proxyServices()
	units, err := s.systemd.show(ctx, s.proxySocket(), services[0], services[1])
	if err != nil {
		return err
	}
	if !units[s.proxySocket()].up() {
		if err := s.systemd.do(ctx, "start", "--", s.proxySocket()); err != nil {
			return fmt.Errorf("start the proxy's sockets: %w", err)
		}
	}
	for _, unit := range services {
		if units[unit].runs() {
			return s.answers(ctx, unit)
		}
	}
	return s.startProxy(ctx, services[0])
}

func (s *service) startProxy(ctx context.Context, unit string) error {
	if err := s.systemd.start(ctx, unit); err != nil {
		return err
	}
	return s.answers(ctx, unit)
}

// answers waits until the proxy of a unit has said that it is ready, and answers.
func (s *service) answers(ctx context.Context, unit string) error {
	ctx, cancel := context.WithTimeout(ctx, proxyStart)
	defer cancel()
	var last error // why it was not ready the last time
	for {
		units, err := s.systemd.show(ctx, unit)
		switch {
		case err != nil:
			last = err
		case !units[unit].up():
			last = fmt.Errorf("systemd says %s (%s)", units[unit]["ActiveState"], units[unit]["SubState"])
		default:
			if _, last = s.proxyAt(s.proxySocketOf(unit)).status(ctx); last == nil {
				return nil
			}
		}
		if err := sleep(ctx, hookTick); err != nil {
			return fmt.Errorf("the proxy %s does not get ready: %w\n%s", unit, last, strings.Join(s.log(context.WithoutCancel(ctx), "--unit="+unit), "\n"))
		}
	}
}

// proxySocketOf is the socket on which one of the two is asked: greeter-prod-proxy-a.service has proxy-a.sock.
func (s *service) proxySocketOf(unit string) string {
	return strings.TrimSuffix(strings.TrimPrefix(unit, s.name+"-"), ".service") + ".sock"
}

// upgradeProxy starts a new proxy beside the old one, on the same sockets, and lets the old one leave. Until the new one has
// shown that it starts, the unit of the old one stays as it is: it works, and is what a crash or a boot starts.
func (s *service) upgradeProxy(ctx context.Context, p *protocol.Proxy, units map[string]unitState) error {
	services := s.proxyServices()
	older, newer := services[0], services[1]
	switch {
	case !units[older].runs() && !units[newer].runs():
		older, newer = newer, older // the sockets start the first one
	case units[newer].runs() && (!units[older].runs() || s.fits(units[older], older, p)):
		older, newer = newer, older // also after an upgrade that was cut off
	}
	if units[newer].runs() && !s.fits(units[newer], newer, p) {
		if err := s.leave(ctx, newer); err != nil {
			return err
		}
	}
	if err := s.tryProxy(ctx, p, newer); err != nil {
		return err
	}
	if units[older].runs() {
		if err := s.leave(ctx, older); err != nil {
			return err
		}
	}
	return s.writeProxyUnits(ctx, p, older)
}

// fits says whether a proxy that runs is the one that a release wants.
func (s *service) fits(u unitState, unit string, p *protocol.Proxy) bool {
	file, err := readUnit(s.units, unit)
	return err == nil && file.text == p.Units[unit] && s.runsProgram(u, p.Binary)
}

// tryProxy writes the unit of a proxy that does not serve, and starts it. When it does not start, what was written there before
// comes back.
func (s *service) tryProxy(ctx context.Context, p *protocol.Proxy, unit string) error {
	before, err := readUnit(s.units, unit)
	if err != nil {
		return err
	}
	if err := s.writeProxyUnits(ctx, p, unit); err != nil {
		return err
	}
	if err := s.startProxy(ctx, unit); err != nil {
		own := context.WithoutCancel(ctx)
		return errors.Join(err, s.systemd.stop(own, unit, proxyRetire), s.unwrite(own, unit, before))
	}
	return nil
}

// unwrite makes a unit what it was before.
func (s *service) unwrite(ctx context.Context, unit string, before unitFile) error {
	if !before.there {
		if err := s.units.Remove(unit); err != nil {
			return fmt.Errorf("remove %s: %w", unit, err)
		}
		return s.systemd.reload(ctx)
	}
	if _, err := writeUnit(s.units, unit, before.release, before.text); err != nil {
		return err
	}
	return s.systemd.reload(ctx)
}

// leave asks a proxy to leave, and ends it when it has, or when its time is over.
func (s *service) leave(ctx context.Context, unit string) error {
	within, cancel := context.WithTimeout(ctx, proxyRetire+proxyDeadline)
	defer cancel()
	if s.proxyAt(s.proxySocketOf(unit)).retire(within, proxyRetire) == nil {
		for {
			units, err := s.systemd.show(within, unit)
			if err != nil || !units[unit].runs() || sleep(within, hookTick) != nil {
				break
			}
		}
	}
	return s.systemd.stop(ctx, unit, proxyRetire) // it hangs, or is about to be started again
}

// retireProxy ends the proxy of a service whose committed release has none, and deletes programs that no unit names.
func (s *service) retireProxy(ctx context.Context, r manifest) error {
	if r.Traffic.Proxy == nil {
		if err := s.removeProxy(ctx); err != nil {
			return err
		}
	}
	return s.sweepProxies()
}

func (s *service) removeProxy(ctx context.Context) error {
	socket, err := readUnit(s.units, s.proxySocket())
	if err != nil || !socket.managed {
		return err
	}
	services := s.proxyServices()
	if err := s.systemd.disable(ctx, s.proxySocket()); err != nil {
		return err
	}
	if err := s.systemd.do(ctx, "stop", "--", s.proxySocket(), services[0], services[1]); err != nil {
		return fmt.Errorf("stop the proxy: %w", err)
	}
	for _, unit := range []string{s.proxySocket(), services[0], services[1]} {
		if err := s.units.Remove(unit); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the proxy: %w", err)
		}
	}
	return s.systemd.reload(ctx)
}

func (s *service) sweepProxies() error {
	installed, err := os.ReadDir(s.path(protocol.ProxyDir))
	if err != nil {
		return nil //nolint:nilerr // there are none
	}
	found, err := names(s.units, ".")
	if err != nil {
		return err
	}
	var texts strings.Builder
	for _, name := range found {
		if strings.Contains(name, "-proxy-") {
			text, err := s.units.ReadFile(name)
			if err != nil {
				return fmt.Errorf("read unit: %w", err)
			}
			texts.Write(text)
		}
	}
	for _, dir := range installed {
		if checkSum(dir.Name()) == nil && !strings.Contains(texts.String(), dir.Name()) {
			if err := os.RemoveAll(s.path(protocol.ProxyDir, dir.Name())); err != nil {
				return fmt.Errorf("remove proxy: %w", err)
			}
		}
	}
	return nil
}
