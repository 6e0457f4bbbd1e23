package engine

import (
	"fmt"
	"strings"
)

// Kind is how an engine is reached.
type Kind string

// The kinds of engine, in the order in which they are tried.
const (
	Joined   Kind = "session"
	Address  Kind = "address"
	Runtime  Kind = "container runtime"
	Embedded Kind = "embedded"
)

// The words that --engine takes besides an address.
const (
	WantAuto     = "auto"
	WantRuntime  = "docker"
	WantEmbedded = "embedded"
)

// Choice is an engine to try and the reason for it.
type Choice struct {
	Kind    Kind
	Address string // as dagger understands it: unix://…, tcp://…, docker-container://…; empty where the kind implies it
	Reason  string
}

// Attempt is a choice that did not work out.
type Attempt struct {
	Kind  Kind
	Cause string
	Fix   string // a command to paste, or what to change
}

// Choices lists the engines to try, in order. It is a pure function of the flag and the environment: want is the value
// of --engine ("" means auto). A named engine is never replaced by another one.
func Choices(want string, getenv func(string) string) []Choice {
	if port := getenv("DAGGER_SESSION_PORT"); port != "" && (want == "" || want == WantAuto) {
		return []Choice{{Kind: Joined, Reason: "a Dagger session is there (DAGGER_SESSION_PORT)"}}
	}
	if want == "" || want == WantAuto {
		if c, ok := named(getenv); ok {
			return []Choice{c}
		}
	}
	runtime := Choice{Kind: Runtime, Reason: "a container runtime answers"}
	own := Choice{Kind: Embedded, Reason: "no container runtime answers, so Slipway runs an engine of its own"}
	switch want {
	case "", WantAuto:
		return []Choice{runtime, own}
	case WantRuntime:
		runtime.Reason = "--engine docker"
		return []Choice{runtime}
	case WantEmbedded:
		own.Reason = "--engine embedded"
		return []Choice{own}
	}
	return []Choice{{Kind: Address, Address: want, Reason: "--engine"}}
}

// namers are the variables that name an engine; the first one counts.
func namers() []string { return []string{"SLIPWAY_ENGINE", "_EXPERIMENTAL_DAGGER_RUNNER_HOST"} }

// named is the engine that the environment names.
func named(getenv func(string) string) (Choice, bool) {
	for _, name := range namers() {
		value := getenv(name)
		switch value {
		case "", WantAuto:
			continue
		case WantEmbedded:
			return Choice{Kind: Embedded, Reason: name}, true
		case WantRuntime:
			return Choice{Kind: Runtime, Reason: name}, true
		}
		return Choice{Kind: Address, Address: value, Reason: name}, true
	}
	return Choice{}, false
}

// CheckWant reports a value of --engine that cannot be meant.
func CheckWant(want string) error { return check("--engine", want) }

// CheckNamed reports an engine that the environment names and that cannot be meant, when it would be used: want is --engine.
func CheckNamed(want string, getenv func(string) string) error {
	if want != "" && want != WantAuto || getenv("DAGGER_SESSION_PORT") != "" {
		return nil
	}
	for _, name := range namers() {
		if value := getenv(name); value != "" && value != WantAuto {
			return check(name, value)
		}
	}
	return nil
}

func check(who, want string) error {
	switch want {
	case "", WantAuto, WantRuntime, WantEmbedded:
		return nil
	}
	const address = "an address such as unix:///run/dagger/engine.sock or tcp://host:1234"
	scheme, place, ok := strings.Cut(want, "://")
	switch {
	case !ok:
		return fmt.Errorf("%s %q: want auto, docker, embedded, or %s", who, want, address)
	case scheme == "http" || scheme == "https":
		return fmt.Errorf("%s %q: an engine does not speak %s; want %s", who, want, scheme, address)
	case place == "":
		return fmt.Errorf("%s %q: nothing follows the %s://; want %s", who, want, scheme, address)
	}
	return nil
}

// UnavailableError says that no engine could be had, and why each choice failed.
type UnavailableError struct {
	Attempts []Attempt
	causes   []error
}

// Unwrap returns the errors of the attempts.
func (e *UnavailableError) Unwrap() []error { return e.causes }

func (e *UnavailableError) Error() string {
	var b strings.Builder
	b.WriteString("no engine to build with")
	for _, a := range e.Attempts {
		fmt.Fprintf(&b, "\n  %s: %s", a.Kind, a.Cause)
		if a.Fix != "" {
			fmt.Fprintf(&b, "\n    fix: %s", a.Fix)
		}
	}
	return b.String()
}
