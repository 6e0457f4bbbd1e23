package systemdtest

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

func (m *Machine) systemctl(options map[string][]string, args []string) (out, failure string, code int) {
	if _, ok := options["--version"]; ok {
		return "systemd 252 (252.0)\n", "", 0
	}
	if len(args) == 0 {
		return "", "no verb\n", 1
	}
	verb, names := args[0], args[1:]
	switch verb {
	case "daemon-reload":
		m.reload()
		return "", "", 0
	case "show":
		return m.show(strings.Split(options["--property"][0], ","), names), "", 0
	case "list-units":
		return m.listUnits(options["--state"], names[0]), "", 0
	}
	_, noBlock := options["--no-block"]
	for _, name := range names {
		if err := m.do(verb, name, !noBlock); err != nil {
			failure, code = failure+err.Error()+"\n", 1
		}
	}
	return "", failure, code
}

func (m *Machine) do(verb, name string, block bool) error {
	switch verb {
	case "start":
		return m.start(name)
	case "stop":
		return m.stop(name, block)
	case "restart":
		if err := m.stop(name, true); err != nil {
			return err
		}
		return m.start(name)
	case "enable", "disable":
		return m.enable(name, verb == "enable")
	case "reset-failed":
		return m.resetFailed(name)
	case "is-active":
		if m.State(name) != "active" {
			return fmt.Errorf("inactive")
		}
		return nil
	}
	return fmt.Errorf("unknown command verb %s", verb)
}

// reload reads all units anew. One that runs goes on as it is.
func (m *Machine) reload() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, u := range m.units {
		u.read(m.file(name))
	}
}

// file is where a unit is, "" when there is none.
func (m *Machine) file(name string) string {
	for _, dir := range []string{protocol.UnitDir, "run/systemd/system"} {
		if _, err := os.Stat(m.path(dir, name)); err == nil {
			return m.path(dir, name)
		}
	}
	return ""
}

func (m *Machine) show(properties, names []string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var blocks []string
	for _, name := range names {
		u := m.unit(name)
		all := map[string]string{"Id": name, "LoadState": "not-found", "ActiveState": u.active, "SubState": u.sub, "MainPID": strconv.Itoa(u.pid()),
			"NRestarts": strconv.Itoa(u.restarts), "MemoryCurrent": "[not set]", "MemoryMax": "infinity", "ControlGroup": "", "DropInPaths": "",
			"NeedDaemonReload": "no", "ExecMainStatus": strconv.Itoa(u.status), "Result": u.result, "UnitFileState": ""}
		if u.loaded {
			all["LoadState"], all["UnitFileState"] = "loaded", "disabled"
			if m.enabled(name) {
				all["UnitFileState"] = "enabled"
			}
		}
		var block strings.Builder
		for _, property := range properties {
			fmt.Fprintf(&block, "%s=%s\n", property, all[property])
		}
		blocks = append(blocks, block.String())
	}
	return strings.Join(blocks, "\n")
}

func (m *Machine) listUnits(states []string, pattern string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list strings.Builder
	wanted := strings.Split(strings.Join(states, ","), ",")
	for _, name := range slices.Sorted(maps.Keys(m.units)) {
		u := m.units[name]
		if ok, _ := path.Match(pattern, name); ok && slices.Contains(wanted, u.active) {
			fmt.Fprintf(&list, "%s loaded %s %s a unit\n", name, u.active, u.sub)
		}
	}
	return list.String()
}

func (m *Machine) enabled(name string) bool {
	links, _ := filepath.Glob(m.path(protocol.UnitDir, "*.wants", name))
	return len(links) > 0
}

func (m *Machine) enable(name string, enable bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.unit(name)
	if !u.loaded {
		u.read(m.file(name)) // the real one reads files here, not what is loaded
	}
	if !u.loaded {
		return fmt.Errorf("unit file %s does not exist", name)
	}
	for _, target := range u.values("Install", "WantedBy") {
		link := m.path(protocol.UnitDir, target+".wants", name)
		if !enable {
			_ = os.Remove(link)
			continue
		}
		_ = os.MkdirAll(filepath.Dir(link), 0o755)
		if err := os.Symlink(filepath.Join("..", name), link); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}
