package project

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/secret"
	"github.com/slipway-ci/slipway/ci/systemd"
)

// The drivers.
const (
	HostDriver    = "host"
	CommandDriver = "command"
)

const (
	defaultListen    = ":80"
	defaultListenTLS = ":443"
	defaultDrain     = 30 * time.Second
	defaultKeep      = 5
	longestWait      = 24 * time.Hour
	portVariable     = "PORT"
	lowestPort       = 20000 // of instances, where nobody names one
	portPairs        = 5000
	localHost        = "local:" // a colon at the end is hard to write in YAML, so it may be left out
)

// Environment is one place that an app is rolled out to.
type Environment struct {
	Name    string
	Driver  string
	App     App
	Service string // app and environment, such as greeter-prod
	// Rollout is all of the spec but the release.
	Rollout rollout.Spec
	Proxy   *Proxy   // nil: there is none of ours
	Switch  []string // a command that moves traffic instead
	Ports   Ports

	Env             map[string]string
	EnvFile         string // absolute, "" for none
	Secrets         map[string]secret.Reference
	SecretVariables []string // those that are variables too

	Arguments []string
	Files     map[string]string // absolute, by path below the release's directory
	Limits    systemd.Limits
	Relax     []systemd.Relaxation
	State     bool
	Writable  []string
	Drain     time.Duration
	Keep      int
	LogFile   string
	Filebeat  string // where Filebeat reads its inputs on the machines, "" for none of ours
	Notify    []Notify
	Commands  *Commands
}

// Proxy is ours, in front of the instances.
type Proxy struct {
	Listen         []string
	Domains        []string
	TLS, Cert, Key string
}

// Ports are where instances listen. Green is 0 for a service that is restarted in place.
type Ports struct{ Blue, Green int }

// Notify is somebody who is told how a rollout ended.
type Notify struct {
	Slack   bool // in Slack's format; else as plain JSON
	Address secret.Reference
}

// Commands are the argv of driver command, by verb.
type Commands struct {
	Observe, Start, Shift, Stop, Prune, Probe, Hook, Logs, Lock []string
}

// Environment finds an environment by its name.
func (p Project) Environment(name string) (Environment, bool) {
	i := slices.IndexFunc(p.Environments, func(e Environment) bool { return e.Name == name })
	if i < 0 {
		return Environment{}, false
	}
	return p.Environments[i], true
}

// chooseEnvironments reads where deploy rolls out to.
func (l *loader) chooseEnvironments(context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(l.cfg.Environments)) {
		field := join("environments", name)
		if !validName(name) {
			l.doc.blame(field, fmt.Sprintf("%q is no name of an environment", name), nameRule)
			continue
		}
		e := l.environment(field, name, l.cfg.Environments[name])
		l.project.Environments = append(l.project.Environments, e)
	}
	return nil
}

func (l *loader) environment(field, name string, c environmentConfig) Environment {
	e := Environment{
		Name: name, Driver: l.choice(field+".driver", c.Driver, "driver", HostDriver), App: l.environmentApp(field+".app", c.App),
		State: c.State, Arguments: l.texts(field+".arguments", c.Arguments), Switch: l.argv(field+".switch", c.Switch),
		Env: c.Env, SecretVariables: c.SecretVariables, Drain: l.wait(field+".drain", c.Drain, defaultDrain),
		Keep: l.number(field+".keep", c.Keep, "several", defaultKeep), LogFile: c.LogFile,
		EnvFile: l.fileToBe(field+".envFile", c.EnvFile), Limits: l.limits(field+".limits", c.Limits),
	}
	e.Service = l.serviceName(field, e)
	e.Rollout = l.rollout(field, name, c, e)
	e.Proxy = l.proxy(field, c, e)
	e.Ports = l.ports(field+".ports", c.Ports, e)
	e.Secrets = l.secrets(field, c)
	e.Files = l.files(field+".files", c.Files)
	e.Relax = l.relax(field+".relax", c.Relax)
	e.Writable = c.Writable
	for i := range c.Writable {
		l.onHost(fmt.Sprintf("%s.writable[%d]", field, i), c.Writable[i])
	}
	l.onHost(field+".logFile", c.LogFile)
	e.Filebeat = l.filebeat(field+".filebeat", c.Filebeat, e.Driver)
	e.Notify = l.notify(field+".notify", c.Notify)
	e.Commands = l.commands(field+".commands", c, e)
	l.checkVariables(field+".env", c.Env)
	return e
}

func (l *loader) environmentApp(field, name string) App {
	apps := l.project.Apps
	switch {
	case name == "" && len(apps) == 1:
		return apps[0]
	case name == "" && len(apps) > 1:
		l.doc.blame(field, "is missing, and there are several apps", "write one of "+strings.Join(appNames(apps), ", "))
	case name == "":
		l.doc.blame(field, "there is no app to roll out", "add a package main")
	}
	for _, app := range apps {
		if app.Name == name {
			return app
		}
	}
	if name != "" {
		l.doc.blame(field, fmt.Sprintf("there is no app %q", name), didYouMean(name, appNames(apps)))
	}
	return App{}
}

func appNames(apps []App) []string {
	names := make([]string, len(apps))
	for i, app := range apps {
		names[i] = app.Name
	}
	return names
}

func (l *loader) serviceName(field string, e Environment) string {
	service := e.App.Name + "-" + e.Name
	if e.App.Name != "" && !validName(service) {
		l.doc.blame(field, fmt.Sprintf("its service would be called %q, which is too long", service), "give it or the app a shorter name: "+nameRule)
	}
	return service
}

// rollout is the order and the gates.
func (l *loader) rollout(field, name string, c environmentConfig, e Environment) rollout.Spec {
	usual := string(rollout.BlueGreen)
	if e.App.Service == nil && e.App.Name != "" {
		usual = string(rollout.InPlace)
	}
	s := rollout.Spec{
		Environment: name, Strategy: rollout.Strategy(l.choice(field+".strategy", c.Strategy, "strategy", usual)),
		Batch: l.number(field+".batch", c.Batch, "several", rollout.DefaultBatch), Weights: c.Weights,
		Bake:     rollout.Duration(l.wait(field+".bake", c.Bake, time.Duration(rollout.DefaultBake))),
		Interval: rollout.Duration(l.wait(field+".interval", c.Interval, time.Duration(rollout.DefaultInterval))),
		Hooks:    l.hooks(field+".hooks", c.Hooks), Gates: l.gates(field+".gates", c.Gates),
		Targets: l.hosts(field+".hosts", c.Hosts, e.Driver),
	}
	l.checkWeights(field+".weights", c.Weights, s.Strategy)
	if l.doc.has(field+".batch") && s.Strategy != rollout.Rolling && s.Strategy != rollout.InPlace {
		l.doc.blame(field+".batch", fmt.Sprintf("%s has no batches: it starts everywhere at once", s.Strategy), "remove the line, or take strategy: rolling")
	}
	if e.App.Name != "" && e.App.Service == nil && s.Strategy != rollout.InPlace {
		l.doc.blame(field+".strategy", fmt.Sprintf("%s needs a service, so that it is known when it is well", s.Strategy), "add service: {port: …} to the app, or take strategy: restart")
	}
	if e.App.Name != "" && e.Driver == HostDriver && !hasLinux(e.App.Targets) {
		l.doc.blame(field+".app", fmt.Sprintf("%s has no linux target, and hosts run Linux", e.App.Name), "add one to its targets")
	}
	if len(e.Switch) > 0 && s.Gates.NoTraffic == "" && s.Gates.Synthetic.Path == "" {
		l.doc.blame(field+".switch", "behind a load balancer of yours nothing counts requests, so no watch could pass", "add gates: {synthetic: {path: /}} or gates: {noTraffic: pass-on-health}")
	}
	return s
}

func (l *loader) checkWeights(field string, weights []int, strategy rollout.Strategy) {
	if l.doc.has(field) && strategy != rollout.Canary {
		l.doc.blame(field, fmt.Sprintf("%s shifts all traffic at once", strategy), "remove the line, or take strategy: canary")
	}
	for i, weight := range weights {
		at := fmt.Sprintf("%s[%d]", field, i)
		switch r := ruleOf("weight"); {
		case !r.holds(float64(weight)):
			l.doc.blame(at, r.between(), "percent; 100 comes by itself at the end")
		case i > 0 && weight <= weights[i-1]:
			l.doc.blame(at, fmt.Sprintf("%d does not rise", weight), "each share is larger than the one before")
		}
	}
}

func (l *loader) hosts(field string, hosts []string, driver string) []string {
	if l.doc.has(field) && hosts != nil && len(hosts) == 0 {
		l.doc.blame(field, "is empty", "name at least one")
	}
	hosts = slices.Clone(hosts)
	for i, host := range hosts {
		at := fmt.Sprintf("%s[%d]", field, i)
		if driver == HostDriver && host == "local" {
			host, hosts[i] = localHost, localHost
		}
		switch {
		case slices.Index(hosts, host) != i:
			l.doc.blame(at, fmt.Sprintf("%q is there twice", host), "remove one")
		case driver == HostDriver && !matches(hostTargetPattern, host):
			l.doc.blame(at, fmt.Sprintf("%q is no machine", host), "write ssh://user@host, ssh://user@host:port, or local for this one")
		case driver == CommandDriver && !matches(credentialPattern, host):
			l.doc.blame(at, fmt.Sprintf("%q is no name of a target", host), "letters, digits, _, . and -")
		}
	}
	return hosts
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

func (l *loader) gates(field string, c gatesConfig) rollout.Gates {
	g := rollout.Gates{
		Times: l.number(field+".times", c.Times, "several", 0), Restarts: l.number(field+".restarts", c.Restarts, "several", 0),
		Requests: l.number(field+".requests", c.Requests, "many", 0),
		Deadline: rollout.Duration(l.wait(field+".deadline", c.Deadline, 0)), P99: rollout.Duration(l.wait(field+".p99", c.P99, 0)),
		Every:     rollout.Duration(l.wait(field+".every", c.Every, 0)),
		ErrorRate: l.share(field+".errorRate", c.ErrorRate), Memory: l.share(field+".memory", c.Memory),
		NoTraffic: rollout.NoTraffic(l.choice(field+".noTraffic", c.NoTraffic, "noTraffic", "")),
	}
	if c.Synthetic == nil {
		return g
	}
	field += ".synthetic"
	g.Synthetic = rollout.Synthetic{Path: c.Synthetic.Path, Rate: c.Synthetic.Rate}
	if l.doc.has(field+".path") && !ruleOf("health").allows(c.Synthetic.Path) {
		l.doc.blame(field+".path", fmt.Sprintf("%q is no path of a URL", c.Synthetic.Path), "begin it with /")
	}
	if r := ruleOf("rate"); l.doc.has(field+".rate") && (!r.holds(c.Synthetic.Rate) || c.Synthetic.Rate == 0) {
		l.doc.blame(field+".rate", "must be more than 0 and at most 1000", "requests a second, such as 2")
	}
	return g
}

// share is a percentage as a share. One that is not said has its default.
func (l *loader) share(field string, percent float64) float64 {
	if r := ruleOf("percent"); l.doc.has(field) && !r.holds(percent) {
		l.doc.blame(field, r.between(), "a percentage")
	}
	if l.doc.has(field) && percent == 0 {
		return 1e-9 // none at all; 0 would be the default
	}
	return percent / 100
}

func (l *loader) proxy(field string, c environmentConfig, e Environment) *Proxy {
	restarts := e.Rollout.Strategy == rollout.InPlace
	if c.Proxy == nil {
		if restarts || len(c.Switch) > 0 || e.Driver == CommandDriver {
			l.useless(field, c, restarts, e.Driver)
			return nil
		}
		return &Proxy{Listen: []string{defaultListen}, TLS: "off"}
	}
	at := field + ".proxy"
	switch {
	case e.Driver == CommandDriver:
		l.doc.blame(at, "is of no use with driver command", "remove it")
	case restarts:
		l.doc.blame(at, "is of no use with strategy restart: there is one instance", "remove it, or take another strategy")
	case len(c.Switch) > 0:
		l.doc.blame(at, "is there beside switch, and one of the two moves the traffic", "remove one")
	}
	p := &Proxy{Domains: c.Proxy.Domains, TLS: l.choice(at+".tls", c.Proxy.TLS, "tls", "off"), Cert: c.Proxy.Cert, Key: c.Proxy.Key}
	p.Listen = []string{l.listen(at+".listen", c.Proxy.Listen, defaultListen)}
	if p.TLS != "off" {
		p.Listen = append(p.Listen, l.listen(at+".listenTLS", c.Proxy.ListenTLS, defaultListenTLS))
	}
	l.checkTLS(at, *c.Proxy, p.TLS)
	for i, domain := range c.Proxy.Domains {
		if !ruleOf("domain").allows(domain) || len(domain) > 253 {
			l.doc.blame(fmt.Sprintf("%s.domains[%d]", at, i), fmt.Sprintf("%q is no name of a domain", domain), "such as www.example.org")
		}
	}
	return p
}

func (l *loader) useless(field string, c environmentConfig, restarts bool, driver string) {
	if len(c.Switch) == 0 {
		return
	}
	switch {
	case driver == CommandDriver:
		l.doc.blame(field+".switch", "is of no use with driver command", "say it as commands.shift")
	case restarts:
		l.doc.blame(field+".switch", "is of no use with strategy restart: there is one instance", "remove it, or take another strategy")
	}
}

func (l *loader) checkTLS(field string, c proxyConfig, tls string) {
	l.onHost(field+".cert", c.Cert)
	l.onHost(field+".key", c.Key)
	switch {
	case tls == "auto" && len(c.Domains) == 0:
		l.doc.blame(field+".domains", "is missing: certificates are made out to names", "name the domains, or write tls: off")
	case tls == "files" && (c.Cert == "" || c.Key == ""):
		l.doc.blame(field+".tls", "files needs cert and key", "write where both are on the machine")
	case tls != "files" && (c.Cert != "" || c.Key != ""):
		l.doc.blame(field+".tls", "is not files, and there are cert and key", "write tls: files, or remove them")
	case tls == "off" && c.ListenTLS != "":
		l.doc.blame(field+".listenTLS", "is of no use without TLS", "write tls: auto, or remove the line")
	}
}

func (l *loader) listen(field, address, otherwise string) string {
	if !l.doc.has(field) {
		return otherwise
	}
	_, port, _ := cutLast(address, ":")
	number, err := strconv.Atoi(port)
	if !ruleOf("listen").allows(address) || err != nil || !ruleOf("port").holds(float64(number)) {
		l.doc.blame(field, fmt.Sprintf("%q is no address to listen on", address), "write :80, or 192.0.2.1:80")
	}
	return address
}

func (l *loader) ports(field string, c *portsConfig, e Environment) Ports {
	restarts := e.Rollout.Strategy == rollout.InPlace
	if c == nil {
		return l.defaultPorts(e, restarts)
	}
	for key, port := range map[string]int{"blue": c.Blue, "green": c.Green} {
		if r := ruleOf("port"); l.doc.has(field+"."+key) && !r.holds(float64(port)) {
			l.doc.blame(field+"."+key, r.between(), "such as 20001")
		}
	}
	switch {
	case restarts && c.Green != 0:
		l.doc.blame(field+".green", "is of no use with strategy restart: there is one instance", "remove it")
	case !restarts && !l.doc.has(field+".green"):
		l.doc.blame(field+".green", "is missing: two instances run beside each other", "add it")
	case !restarts && c.Green == c.Blue:
		l.doc.blame(field+".green", "is the port of blue too", "give each its own")
	}
	return Ports{Blue: c.Blue, Green: c.Green}
}

// defaultPorts depend on the names alone, so that they are the same on each run. Two services of one machine may meet: the
// machine says so before anything is changed.
func (l *loader) defaultPorts(e Environment, restarts bool) Ports {
	if e.Driver != HostDriver || e.App.Name == "" {
		return Ports{}
	}
	if restarts {
		if e.App.Service == nil {
			return Ports{}
		}
		return Ports{Blue: e.App.Service.Port}
	}
	sum := fnv.New32a()
	sum.Write([]byte(e.Service))
	first := lowestPort + 2*int(sum.Sum32()%portPairs)
	l.reason(e.Name+" ports", fmt.Sprintf("%d, %d", first, first+1), "of the instances on 127.0.0.1, from the name "+e.Service+"; ports names others")
	return Ports{Blue: first, Green: first + 1}
}

func (l *loader) secrets(field string, c environmentConfig) map[string]secret.Reference {
	found := map[string]secret.Reference{}
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		at := join(field+".secrets", name)
		found[name] = l.secret(at, c.Secrets[name])
		_, plain := c.Env[name]
		switch {
		case !ruleOf("credential").allows(name):
			l.doc.blame(at, fmt.Sprintf("%q is no name of a secret", name), "letters, digits, _, . and -")
		case plain:
			l.doc.blame(at, "is under env too, where everyone can read it", "remove it there")
		}
	}
	for i, name := range c.SecretVariables {
		at := fmt.Sprintf("%s.secretVariables[%d]", field, i)
		_, known := c.Secrets[name]
		switch {
		case !ruleOf("environmentVariable").allows(name):
			l.doc.blame(at, fmt.Sprintf("%q is no name of a variable", name), "letters, digits and _")
		case !known:
			l.doc.blame(at, fmt.Sprintf("there is no secret %q", name), didYouMean(name, slices.Sorted(maps.Keys(c.Secrets))))
		}
	}
	return found
}

func (l *loader) checkVariables(field string, env map[string]string) {
	for name, value := range env {
		if wrong, hint := wrongVariable(name, value); wrong != "" {
			l.doc.blame(join(field, name), wrong, hint)
		}
	}
}

func (l *loader) files(field string, c map[string]string) map[string]string {
	found := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		at := join(field, name)
		if !fs.ValidPath(name) || name == "." {
			l.doc.blame(at, fmt.Sprintf("%q is no path below the release's directory", name), "such as etc/app.yaml")
			continue
		}
		found[name] = l.file(at, c[name], "a file of the project")
	}
	return found
}

// fileToBe is the absolute path of a file that is looked for when it is used: a run that only builds can do without it.
func (l *loader) fileToBe(field, written string) string {
	if !l.doc.has(field) {
		return ""
	}
	name, ok := l.local(field, written)
	if !ok {
		return ""
	}
	return filepath.Join(l.site.root, filepath.FromSlash(name))
}

func (l *loader) hooks(field string, c hooksConfig) rollout.Hooks {
	return rollout.Hooks{
		Before: l.argv(field+".before", c.Before), After: l.argv(field+".after", c.After), OnFailure: l.argv(field+".onFailure", c.OnFailure),
		Timeout: rollout.Duration(l.wait(field+".timeout", c.Timeout, 0)),
	}
}

func (l *loader) notify(field string, c []notifyConfig) []Notify {
	var all []Notify
	for i, each := range c {
		at := fmt.Sprintf("%s[%d]", field, i)
		slack, webhook := l.secret(at+".slack", each.Slack), l.secret(at+".webhook", each.Webhook)
		if l.doc.has(at+".slack") == l.doc.has(at+".webhook") && !l.doc.isBlamed(at) {
			l.doc.blame(at, "names slack or webhook, one of the two", "such as slack: env://SLACK_WEBHOOK")
		}
		if slack.IsZero() {
			all = append(all, Notify{Address: webhook})
			continue
		}
		all = append(all, Notify{Slack: true, Address: slack})
	}
	return all
}

func (l *loader) limits(field string, c limitsConfig) systemd.Limits {
	limits := systemd.Limits{
		CPU: l.number(field+".cpu", c.CPU, "many", 0), Tasks: l.number(field+".tasks", c.Tasks, "many", 0), Files: l.number(field+".files", c.Files, "many", 0),
	}
	if !l.doc.has(field + ".memory") {
		return limits
	}
	if !ruleOf("bytes").allows(c.Memory) {
		l.doc.blame(field+".memory", fmt.Sprintf("%q is no amount of memory", c.Memory), "write it as 256MiB or 1GiB")
		return limits
	}
	units := map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
	number, _ := strconv.ParseInt(c.Memory[:len(c.Memory)-3], 10, 64) // the rule has looked at it
	limits.Memory = number * units[c.Memory[len(c.Memory)-3:]]
	return limits
}

func (l *loader) relax(field string, c []string) []systemd.Relaxation {
	var list []systemd.Relaxation
	for i, name := range c {
		at := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case !ruleOf("relax").allows(name):
			l.doc.blame(at, fmt.Sprintf("%q is nothing that can be relaxed", name), "known: "+strings.Join(relaxations(), ", "))
		case slices.Index(c, name) != i:
			l.doc.blame(at, fmt.Sprintf("%q is there twice", name), "remove one")
		}
		list = append(list, systemd.Relaxation(name))
	}
	return list
}

func (l *loader) commands(field string, c environmentConfig, e Environment) *Commands {
	if c.Commands == nil {
		if e.Driver == CommandDriver {
			l.doc.blame(field, "is missing: driver command runs commands of yours", "see docs/command-driver.md")
		}
		return nil
	}
	if e.Driver != CommandDriver {
		l.doc.blame(field, "is of no use with driver host", "write driver: command, or remove it")
	}
	all := *c.Commands
	found := &Commands{}
	for key, each := range map[string]struct {
		from []string
		to   *[]string
	}{
		"observe": {all.Observe, &found.Observe}, "start": {all.Start, &found.Start}, "shift": {all.Shift, &found.Shift},
		"stop": {all.Stop, &found.Stop}, "prune": {all.Prune, &found.Prune}, "probe": {all.Probe, &found.Probe},
		"hook": {all.Hook, &found.Hook}, "logs": {all.Logs, &found.Logs}, "lock": {all.Lock, &found.Lock},
	} {
		*each.to = l.argv(field+"."+key, each.from)
	}
	if e.Rollout.Strategy != rollout.InPlace && len(all.Shift) == 0 {
		l.doc.blame(field+".shift", fmt.Sprintf("is missing, and %s moves traffic", e.Rollout.Strategy), "add it, or take strategy: restart")
	}
	if e.Rollout.Hooks.Any() && len(all.Hook) == 0 {
		l.doc.blame(field+".hook", "is missing, and there are hooks", "add it, or remove hooks")
	}
	return found
}

// argv is a command, as a list of words.
func (l *loader) argv(field string, words []string) []string {
	if l.doc.has(field) && words != nil && len(words) == 0 {
		l.doc.blame(field, "is empty", "write the command as a list of words, or remove the line")
	}
	if len(words) > 0 && words[0] == "" {
		l.doc.blame(field+"[0]", "is no program", "begin with the program's name")
	}
	return l.texts(field, words)
}

func (l *loader) texts(field string, words []string) []string {
	for i, word := range words {
		if !ruleOf("noNUL").allows(word) {
			l.doc.blame(fmt.Sprintf("%s[%d]", field, i), "has a NUL byte, which no command line can hold", "remove it")
		}
	}
	return words
}

func (l *loader) onHost(field, name string) {
	if l.doc.has(field) && !ruleOf("onHost").allows(name) {
		l.doc.blame(field, fmt.Sprintf("%q is no absolute path on a machine", name), "begin it with /, without %")
	}
}

// filebeat is where an input for Filebeat is put. Only our helper puts one anywhere.
func (l *loader) filebeat(field, dir, driver string) string {
	if l.doc.has(field) && driver == CommandDriver {
		l.doc.blame(field, "is of no use with driver command: Slipway itself writes nothing on its targets", "remove it, and write the input in commands.prune")
		return ""
	}
	l.onHost(field, dir)
	return dir
}

// choice is one of a few words.
func (l *loader) choice(field, text, kind, otherwise string) string {
	if !l.doc.has(field) {
		return otherwise
	}
	if r := ruleOf(kind); !l.doc.isBlamed(field) && !r.allows(text) {
		hint := "write " + strings.Join(r.values, ", ")
		if near := nearest(text, r.values); near != "" {
			hint = didYouMean(text, r.values)
		}
		l.doc.blame(field, fmt.Sprintf("%q is not known", text), hint)
	}
	return text
}

func (l *loader) number(field string, number int, kind string, otherwise int) int {
	if !l.doc.has(field) {
		return otherwise
	}
	if r := ruleOf(kind); !r.holds(float64(number)) {
		l.doc.blame(field, r.between(), "such as "+strconv.Itoa(cmp.Or(otherwise, 3)))
	}
	return number
}

func (l *loader) wait(field, written string, otherwise time.Duration) time.Duration {
	if !l.doc.has(field) {
		return otherwise
	}
	d, err := time.ParseDuration(written)
	if err != nil || d <= 0 || d > longestWait || !ruleOf("time").allows(written) {
		l.doc.blame(field, fmt.Sprintf("%q is no time between 0 and %s", written, longestWait), "write it as "+cmp.Or(otherwise, 30*time.Second).String())
	}
	return d
}
