package engine

import (
	"context"
	"os/exec"
	"strings"
)

// Need is one thing that an engine choice needs, found or not.
type Need struct {
	Name   string `json:"name"`
	Found  bool   `json:"found"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"` // a command to paste, or one sentence
}

// Diagnosis is what is known about one engine choice.
type Diagnosis struct {
	Engine string `json:"engine"`
	Kind   Kind   `json:"kind,omitempty"`
	Usable bool   `json:"usable"`
	Needs  []Need `json:"needs"`
}

// Diagnose looks at every engine choice, in the order in which they are tried. self is how a shell calls this program, and
// own lists the needs of the embedded engine.
func Diagnose(ctx context.Context, want string, getenv func(string) string, self string, own func() []Need) []Diagnosis {
	cliOnPath := `eval "$(` + self + ` engine env)"` // and the embedded engine's address in the environment
	return []Diagnosis{
		diagnosis(Joined, "a Dagger session", envNeed("DAGGER_SESSION_PORT", getenv, cliOnPath+" && dagger run "+self)),
		diagnosis(Address, "an engine at an address", addressNeed(want, getenv, cliOnPath)),
		diagnosis(Runtime, "a container runtime", runtimeNeeds(ctx)...),
		diagnosis(Embedded, "the embedded engine", own()...),
	}
}

// Usable tells whether a run would get an engine: one of those that it would try can be used. A named engine is never
// replaced by another one.
func Usable(all []Diagnosis, want string, getenv func(string) string) bool {
	for _, choice := range Choices(want, getenv) {
		for _, d := range all {
			if d.Kind == choice.Kind && d.Usable {
				return true
			}
		}
	}
	return false
}

func diagnosis(kind Kind, name string, needs ...Need) Diagnosis {
	d := Diagnosis{Engine: name, Kind: kind, Usable: true, Needs: needs}
	for _, n := range needs {
		d.Usable = d.Usable && n.Found
	}
	return d
}

func envNeed(name string, getenv func(string) string, fix string) Need {
	value := getenv(name)
	if value == "" {
		return Need{Name: name, Detail: "not set", Fix: fix}
	}
	return Need{Name: name, Found: true, Detail: value}
}

func addressNeed(want string, getenv func(string) string, fix string) Need {
	choices := Choices(want, getenv)
	if choices[0].Kind == Address {
		return Need{Name: "address", Found: true, Detail: choices[0].Address + " (" + choices[0].Reason + ")"}
	}
	return Need{Name: "address", Detail: "none named", Fix: fix}
}

// service names the system's service behind a runtime.
func service(runtime string) string {
	if runtime == "nerdctl" {
		return "containerd"
	}
	return runtime
}

func runtimeNeeds(ctx context.Context) []Need {
	command := Need{Name: "docker, podman or nerdctl", Detail: "not on PATH", Fix: "apt-get update && apt-get install -y docker.io"}
	daemon := Need{Name: "a daemon that answers", Detail: "nothing to ask", Fix: "service docker start"}
	var found []string
	for _, name := range runtimes {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		found = append(found, name)
		if answers(ctx, path) {
			daemon = Need{Name: daemon.Name, Found: true, Detail: name + " answers"}
			break
		}
		daemon.Detail, daemon.Fix = name+" does not answer", "service "+service(name)+" start"
	}
	if len(found) > 0 {
		command = Need{Name: command.Name, Found: true, Detail: strings.Join(found, ", ")}
	}
	return []Need{command, daemon}
}
