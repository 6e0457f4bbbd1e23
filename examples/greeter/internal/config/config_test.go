package config_test

import (
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/examples/greeter/internal/config"
)

// environment stands in for os.Getenv.
func environment(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

func defaults() config.Config {
	return config.Config{
		Addr:         ":8080",
		Greeting:     "Hello",
		LogLevel:     slog.LevelInfo,
		LogFormat:    config.FormatJSON,
		Grace:        8 * time.Second,
		CheckTimeout: 2 * time.Second,
	}
}

func ExampleParse() {
	env := map[string]string{"GREETER_GREETING": "Moin", "PORT": "3000"}
	cfg, err := config.Parse([]string{"--greeting", "Ahoy"}, func(name string) string { return env[name] })
	fmt.Println(cfg.Addr, cfg.Greeting, cfg.Grace, err)
	// Output: :3000 Ahoy 8s <nil>
}

func ExampleParse_problems() {
	env := map[string]string{"GREETER_GRACE": "soon"}
	_, err := config.Parse([]string{"--log-format=xml", "--colour"}, func(name string) string { return env[name] })
	fmt.Println(err)
	// Output:
	// flag provided but not defined: -colour
	// --log-format: "xml" is not one of json, text
	// GREETER_GRACE: "soon" is not a duration such as 500ms, 8s or 1m
}

func TestParse(t *testing.T) {
	tests := map[string]struct {
		args []string
		env  map[string]string
		want func(*config.Config)
	}{
		"nothing given": {want: func(*config.Config) {}},
		"everything from the environment": {
			env: map[string]string{
				"GREETER_ADDR":          "127.0.0.1:9000",
				"GREETER_GREETING":      "Grüß Gott",
				"GREETER_LOG_LEVEL":     "debug",
				"GREETER_LOG_FORMAT":    "text",
				"GREETER_DRAIN":         "3s",
				"GREETER_GRACE":         "1m",
				"GREETER_UPSTREAM":      "https://db.example:8443/health?deep=1",
				"GREETER_CHECK_TIMEOUT": "500ms",
			},
			want: func(c *config.Config) {
				c.Addr = "127.0.0.1:9000"
				c.Greeting = "Grüß Gott"
				c.LogLevel = slog.LevelDebug
				c.LogFormat = config.FormatText
				c.Drain = 3 * time.Second
				c.Grace = time.Minute
				c.Upstream = &url.URL{Scheme: "https", Host: "db.example:8443", Path: "/health", RawQuery: "deep=1"}
				c.CheckTimeout = 500 * time.Millisecond
			},
		},
		"a flag wins over the environment": {
			args: []string{"-addr", ":1", "--grace=2s"},
			env:  map[string]string{"GREETER_ADDR": ":2", "GREETER_GRACE": "3s"},
			want: func(c *config.Config) { c.Addr, c.Grace = ":1", 2*time.Second },
		},
		"a flag hides a variable that is wrong": {
			args: []string{"--grace=2s"},
			env:  map[string]string{"GREETER_GRACE": "soon"},
			want: func(c *config.Config) { c.Grace = 2 * time.Second },
		},
		"an empty flag switches the upstream off": {
			args: []string{"--upstream", ""},
			env:  map[string]string{"GREETER_UPSTREAM": "http://127.0.0.1:1"},
			want: func(*config.Config) {},
		},
		"an empty variable is not set": {
			env:  map[string]string{"GREETER_GREETING": ""},
			want: func(*config.Config) {},
		},
		"PORT of the platform": {
			env:  map[string]string{"PORT": "3000"},
			want: func(c *config.Config) { c.Addr = ":3000" },
		},
		"GREETER_ADDR wins over PORT": {
			env:  map[string]string{"PORT": "3000", "GREETER_ADDR": "[::1]:4000"},
			want: func(c *config.Config) { c.Addr = "[::1]:4000" },
		},
		"what Kubernetes adds is left alone": {
			env:  map[string]string{"GREETER_PORT": "tcp://10.0.0.1:8080"},
			want: func(*config.Config) {},
		},
		"--version wins over everything that is wrong": {
			args: []string{"--nonsense", "--version"},
			env:  map[string]string{"GREETER_GRACE": "soon"},
			want: func(c *config.Config) { *c = config.Config{ShowVersion: true} },
		},
		"--version=false": {
			args: []string{"--version=false"},
			want: func(*config.Config) {},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := defaults()
			test.want(&want)
			got, err := config.Parse(test.args, environment(test.env))
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		args []string
		env  map[string]string
		want []string // one a line
	}{
		"no port":          {env: map[string]string{"GREETER_ADDR": "localhost"}, want: []string{`GREETER_ADDR: "localhost" is not an address such as :8080 or 127.0.0.1:8080`}},
		"port too high":    {env: map[string]string{"PORT": ":65536"}, want: []string{`PORT: ":65536" has no port between 0 and 65535`}},
		"port by name":     {args: []string{"--addr=:http"}, want: []string{`--addr: ":http" has no port between 0 and 65535`}},
		"blank greeting":   {env: map[string]string{"GREETER_GREETING": " "}, want: []string{"GREETER_GREETING: is empty"}},
		"two lines":        {args: []string{"--greeting", "a\nb"}, want: []string{`--greeting: "a\nb" is not one line of text`}},
		"log level":        {args: []string{"--log-level", "loud"}, want: []string{`--log-level: "loud" is not one of debug, info, warn, error`}},
		"log format":       {args: []string{"--log-format", "xml"}, want: []string{`--log-format: "xml" is not one of json, text`}},
		"negative drain":   {args: []string{"--drain=-1s"}, want: []string{`--drain: "-1s" is not a duration such as 500ms, 8s or 1m`}},
		"no grace":         {args: []string{"--grace=0s"}, want: []string{"--grace: must be more than 0s, or every stop would be a failure"}},
		"timeout too long": {env: map[string]string{"GREETER_CHECK_TIMEOUT": "11s"}, want: []string{`GREETER_CHECK_TIMEOUT: "11s" is not more than 0s and at most 10s`}},
		"upstream is not shown, it may hold a password": {
			env:  map[string]string{"GREETER_UPSTREAM": "postgres://me:secret@db"},
			want: []string{"GREETER_UPSTREAM: is not an http or https URL such as http://127.0.0.1:9000/health"},
		},
		"no value":         {args: []string{"--addr"}, want: []string{"flag needs an argument: -addr"}},
		"no flag":          {args: []string{"serve"}, want: []string{`unexpected argument "serve"`}},
		"malformed":        {args: []string{"---grace"}, want: []string{"bad flag syntax: ---grace"}},
		"malformed, later": {args: []string{"--grace=1s", "---", "--addr=1"}, want: []string{"bad flag syntax: ---"}},
		"bad version":      {args: []string{"--version=maybe"}, want: []string{`invalid boolean value "maybe" for -version: strconv.ParseBool: parsing "maybe": invalid syntax`}},
		"all at once": {
			args: []string{"--colour", "--grace", "soon", "extra", "--log-level=loud"},
			env:  map[string]string{"PORT": "http", "GREETER_LOG_FORMAT": "xml"},
			want: []string{
				"flag provided but not defined: -colour",
				`unexpected argument "extra"`,
				`PORT: "http" is not an address such as :8080 or 127.0.0.1:8080`,
				`--log-level: "loud" is not one of debug, info, warn, error`,
				`GREETER_LOG_FORMAT: "xml" is not one of json, text`,
				`--grace: "soon" is not a duration such as 500ms, 8s or 1m`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := config.Parse(test.args, environment(test.env))
			require.EqualError(t, err, strings.Join(test.want, "\n"))
			assert.Zero(t, got)
		})
	}
}

func TestParseHelp(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"--help"}, {"--nonsense", "--help"}} {
		_, err := config.Parse(args, environment(nil))
		assert.ErrorIs(t, err, flag.ErrHelp, args)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("--addr\n:8080\n--grace=1s", ":80", "http://127.0.0.1/health")
	f.Add("---\n-=\n--\n-\n\n--version=x", "80", "http://%zz")
	f.Add("--greeting\n\x00", "[::1]:0", "://")
	f.Fuzz(func(t *testing.T, args, addr, upstream string) {
		env := map[string]string{"GREETER_ADDR": addr, "GREETER_UPSTREAM": upstream}
		cfg, err := config.Parse(strings.Split(args, "\n"), environment(env))
		if err != nil || cfg.ShowVersion {
			return
		}
		// What was accepted is accepted again in its canonical form, and means the same.
		again, err := config.Parse([]string{
			"--addr", cfg.Addr,
			"--greeting", cfg.Greeting,
			"--grace", cfg.Grace.String(),
			"--drain", cfg.Drain.String(),
			"--check-timeout", cfg.CheckTimeout.String(),
		}, environment(nil))
		require.NoError(t, err)
		again.Upstream, again.LogLevel, again.LogFormat = cfg.Upstream, cfg.LogLevel, cfg.LogFormat
		assert.Equal(t, cfg, again)
	})
}

func TestUsageIsATable(t *testing.T) {
	usage := config.Usage()
	assert.Contains(t, usage, "\n--addr            GREETER_ADDR, PORT      :8080     address to listen on, host:port or a port alone\n")
	for line := range strings.Lines(usage) {
		assert.LessOrEqual(t, len(line), 120)
		assert.Equal(t, strings.TrimRight(line, " \n")+"\n", line)
	}
}
