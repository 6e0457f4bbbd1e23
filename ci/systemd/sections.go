package systemd

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

func (s Service) unit() []directive {
	list := []directive{{"Description", literal(cmp.Or(s.Description, s.Name))}}
	if s.Homepage != "" {
		list = append(list, directive{"Documentation", literal(s.Homepage)})
	}
	list = append(list, directive{"Wants", "network-online.target"}, directive{"After", "network-online.target"})
	if s.Restart.Endless {
		return append(list, directive{"StartLimitIntervalSec", "0"})
	}
	return append(list, directive{"StartLimitIntervalSec", seconds(cmp.Or(s.Restart.Within, DefaultWithin))},
		directive{"StartLimitBurst", strconv.Itoa(cmp.Or(s.Restart.Burst, DefaultBurst))})
}

// process is what runs, and as whom.
func (s Service) process() []directive {
	list := []directive{{"Type", "exec"}} // a program that cannot be run fails the start, and not only later
	if s.Notify {
		list = []directive{{"Type", "notify"}, {"NotifyAccess", "main"}}
	}
	for _, socket := range s.Sockets {
		list = append(list, directive{"Sockets", socket + ".socket"})
	}
	list = append(list, directive{"ExecStart", command(s.Command)})
	if s.User == "" || s.Dynamic {
		list = append(list, directive{"DynamicUser", "yes"})
	}
	if s.User == "" {
		return list
	}
	list = append(list, directive{"User", s.User})
	if s.Group != "" {
		list = append(list, directive{"Group", s.Group})
	}
	return list
}

// files are what it reads and writes.
func (s Service) files() []directive {
	var list []directive
	if s.Port != 0 {
		list = append(list, environment(Variable{"PORT", strconv.Itoa(s.Port)}))
	}
	for _, v := range s.Environment {
		list = append(list, environment(v))
	}
	for _, file := range s.EnvironmentFiles {
		list = append(list, directive{"EnvironmentFile", file})
	}
	for _, c := range s.Credentials {
		list = append(list, directive{"LoadCredential", c.Name + ":" + c.File})
	}
	if s.State != "" {
		list = append(list, directive{"StateDirectory", s.State}, directive{"StateDirectoryMode", "0700"})
	}
	if s.Runtime != "" {
		list = append(list, directive{"RuntimeDirectory", s.Runtime})
		if s.KeepRuntime {
			list = append(list, directive{"RuntimeDirectoryPreserve", "yes"})
		}
	}
	if len(s.Writable) > 0 {
		list = append(list, directive{"ReadWritePaths", strings.Join(s.Writable, " ")})
	}
	if s.LogFile != "" {
		list = append(list, directive{"StandardOutput", "append:" + s.LogFile}, directive{"StandardError", "inherit"})
	}
	return append(list, directive{"WorkingDirectory", s.directory()})
}

func (s Service) directory() string {
	if s.Directory == "" && s.State != "" {
		return "/var/lib/" + s.State
	}
	return cmp.Or(s.Directory, "/")
}

func environment(v Variable) directive {
	return directive{"Environment", quote(v.Name+"="+v.Value, notExpanded)}
}

// life is how it starts, ends and starts again. SIGTERM goes to the program
// alone, what it leaves behind is killed.
func (s Service) life() []directive {
	var list []directive
	if s.Start != 0 {
		list = append(list, directive{"TimeoutStartSec", seconds(s.Start)})
	}
	if s.Watchdog != 0 {
		list = append(list, directive{"WatchdogSec", seconds(s.Watchdog)})
	}
	list = append(list, directive{"TimeoutStopSec", seconds(cmp.Or(s.Grace, DefaultGrace))}, directive{"KillMode", "mixed"},
		directive{"Restart", string(cmp.Or(s.Restart.When, OnFailure))})
	if s.Restart.When != Never {
		list = append(list, directive{"RestartSec", seconds(cmp.Or(s.Restart.Delay, DefaultRestartDelay))})
	}
	return list
}

func (s Service) limits() []directive {
	list := []directive{{"LimitNOFILE", strconv.Itoa(cmp.Or(s.Limits.Files, DefaultFiles))}}
	if s.Limits.Tasks != 0 {
		list = append(list, directive{"TasksMax", strconv.Itoa(s.Limits.Tasks)})
	}
	if s.Limits.Memory != 0 {
		list = append(list, directive{"MemoryMax", strconv.FormatInt(s.Limits.Memory, 10)})
	}
	if s.Limits.CPU != 0 {
		list = append(list, directive{"CPUQuota", strconv.Itoa(s.Limits.CPU) + "%"})
	}
	return list
}

// seconds is a time as systemd writes it: 10, or 500ms.
func seconds(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10)
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}
