// Package config turns the command line and the environment into a [Config].
//
// A flag wins over its environment variable, which wins over the default. An empty variable counts as not set.
// Variables that are not known are left alone: Kubernetes, for instance, adds GREETER_PORT and
// GREETER_SERVICE_HOST to every container beside a service named greeter.
//
// [Parse] is a pure function. It reports everything that is wrong at once, each with the name of its flag or variable.
package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// The values of Config.LogFormat.
const (
	FormatJSON = "json"
	FormatText = "text"
)

// maxCheckTimeout keeps a health answer well within the time that the server allows for writing one.
const maxCheckTimeout = 10 * time.Second

// Config is what the service needs to know. Parse makes valid ones.
type Config struct {
	Addr         string        // where to listen, host:port
	Greeting     string        // the word before the name
	LogLevel     slog.Level    // what is less important is not logged
	LogFormat    string        // FormatJSON or FormatText
	Drain        time.Duration // how long to serve on as unhealthy before stopping
	Grace        time.Duration // how long requests in flight may take after that
	Upstream     *url.URL      // a dependency whose health is ours, or nil
	CheckTimeout time.Duration // how long a dependency may take to answer
	ShowVersion  bool          // --version was given; nothing else is set then
}

// setting is one row of the table that flags, environment, defaults and help come from.
type setting struct {
	flag     string
	envs     []string // the first that is set counts
	fallback string
	usage    string
	apply    func(*Config, string) error
}

func settings() []setting {
	return []setting{
		{"addr", []string{"GREETER_ADDR", "PORT"}, ":8080", "address to listen on, host:port or a port alone", setAddr},
		{"greeting", []string{"GREETER_GREETING"}, "Hello", "the word before the name", setGreeting},
		{"log-level", []string{"GREETER_LOG_LEVEL"}, "info", "debug, info, warn or error", setLogLevel},
		{"log-format", []string{"GREETER_LOG_FORMAT"}, FormatJSON, "json or text", setLogFormat},
		{"drain", []string{"GREETER_DRAIN"}, "0s", "when stopping, serve on as unhealthy for this long first", setDrain},
		// Less than the ten seconds after which most who stop a service kill it, more than the five for which
		// net/http waits for a connection that has not sent anything yet.
		{"grace", []string{"GREETER_GRACE"}, "8s", "then wait this long for requests in flight", setGrace},
		{"upstream", []string{"GREETER_UPSTREAM"}, "", "URL of a dependency that /health checks", setUpstream},
		{"check-timeout", []string{"GREETER_CHECK_TIMEOUT"}, "2s", "how long a dependency may take to answer", setCheckTimeout},
	}
}

// Parse reads args (without the program's name) and the environment. Its error is flag.ErrHelp when help was asked
// for, otherwise all problems joined, one a line.
func Parse(args []string, getenv func(string) string) (Config, error) {
	flags, err := parseFlags(args)
	if errors.Is(err, flag.ErrHelp) {
		return Config{}, flag.ErrHelp
	}
	if flags["version"] == "true" {
		return Config{ShowVersion: true}, nil
	}

	var cfg Config
	problems := []error{err}
	for _, s := range settings() {
		name, value := s.find(flags, getenv)
		if err := s.apply(&cfg, value); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// find returns the value that counts and the name under which it was given.
func (s setting) find(flags map[string]string, getenv func(string) string) (name, value string) {
	if value, ok := flags[s.flag]; ok {
		return "--" + s.flag, value
	}
	for _, env := range s.envs {
		if value := getenv(env); value != "" {
			return env, value
		}
	}
	return "default of --" + s.flag, s.fallback
}

// parseFlags returns the flags that were given. The flag package stops at the first problem, so it is called again
// with what is left until nothing is.
func parseFlags(args []string) (map[string]string, error) {
	given := map[string]string{}
	set := flag.NewFlagSet("greeter", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.BoolFunc("version", "", func(value string) error {
		on, err := strconv.ParseBool(value)
		given["version"] = strconv.FormatBool(on)
		return err
	})
	for _, s := range settings() {
		set.Func(s.flag, "", func(value string) error {
			given[s.flag] = value
			return nil
		})
	}

	var problems []error
	for len(args) > 0 {
		err := set.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		rest := set.Args()
		if err == nil && len(rest) > 0 {
			err = fmt.Errorf("unexpected argument %q", rest[0])
			rest = rest[1:]
		}
		if len(rest) == len(args) { // malformed ("---x"): the flag package leaves it in place
			rest = rest[1:]
		}
		problems = append(problems, err)
		args = rest
	}
	return given, errors.Join(slices.CompactFunc(problems, sameText)...)
}

func sameText(a, b error) bool {
	return a != nil && b != nil && a.Error() == b.Error()
}

// Usage is the text of --help.
func Usage() string {
	var text strings.Builder
	text.WriteString("greeter is a small HTTP service that greets.\n\nUsage: greeter [flags]\n\n")
	columns := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	fmt.Fprintln(columns, "FLAG\tENVIRONMENT\tDEFAULT\tMEANING")
	for _, s := range settings() {
		fmt.Fprintf(columns, "--%s\t%s\t%s\t%s\n", s.flag, strings.Join(s.envs, ", "), s.fallback, s.usage)
	}
	fmt.Fprintln(columns, "--version\t\t\tprint the version and exit")
	fmt.Fprintln(columns, "--help\t\t\tprint this and exit")
	columns.Flush() //nolint:errcheck // a strings.Builder takes everything
	text.WriteString("\nA flag wins over its environment variable.\n")
	return text.String()
}

func setAddr(c *Config, value string) error {
	if _, err := strconv.ParseUint(value, 10, 16); err == nil {
		value = ":" + value
	}
	_, port, err := net.SplitHostPort(value)
	if err != nil {
		return fmt.Errorf("%q is not an address such as :8080 or 127.0.0.1:8080", value)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port between 0 and 65535", value)
	}
	c.Addr = value
	return nil
}

func setGreeting(c *Config, value string) error {
	if strings.TrimSpace(value) == "" {
		return errors.New("is empty")
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return fmt.Errorf("%q is not one line of text", value)
	}
	c.Greeting = value
	return nil
}

func setLogLevel(c *Config, value string) error {
	if err := c.LogLevel.UnmarshalText([]byte(value)); err != nil {
		return fmt.Errorf("%q is not one of debug, info, warn, error", value)
	}
	return nil
}

func setLogFormat(c *Config, value string) error {
	if value != FormatJSON && value != FormatText {
		return fmt.Errorf("%q is not one of json, text", value)
	}
	c.LogFormat = value
	return nil
}

func setDrain(c *Config, value string) (err error) {
	c.Drain, err = duration(value)
	return err
}

func setGrace(c *Config, value string) (err error) {
	c.Grace, err = duration(value)
	if err == nil && c.Grace == 0 {
		return errors.New("must be more than 0s, or every stop would be a failure")
	}
	return err
}

func setUpstream(c *Config, value string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		// Without the value: it may hold a password.
		return errors.New("is not an http or https URL such as http://127.0.0.1:9000/health")
	}
	c.Upstream = u
	return nil
}

func setCheckTimeout(c *Config, value string) (err error) {
	c.CheckTimeout, err = duration(value)
	if err == nil && (c.CheckTimeout == 0 || c.CheckTimeout > maxCheckTimeout) {
		return fmt.Errorf("%q is not more than 0s and at most %s", value, maxCheckTimeout)
	}
	return err
}

func duration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration such as 500ms, 8s or 1m", value)
	}
	return d, nil
}
