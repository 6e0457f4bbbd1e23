package project

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/systemd"
	"github.com/slipway-ci/slipway/ci/target"
)

// What values of slipway.yaml must look like. Validation and the JSON Schema
// both read them here. The expressions mean the same to Go and to JavaScript.
const (
	namePattern        = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`
	goPattern          = `^1\.(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)|(rc|beta)[1-9][0-9]*)?$`
	placePattern       = `^[^/\\\x00-\x1f][^\\\x00-\x1f]*$`
	tagPattern         = `^[\p{L}\p{N}_.]+$`
	variablePattern    = `^[A-Za-z_][A-Za-z0-9_]*$`
	hostPattern        = `^[A-Za-z0-9]([A-Za-z0-9-]*\.[A-Za-z0-9.-]+(:[0-9]+)?|[A-Za-z0-9-]*:[0-9]+)$`
	repositoryPattern  = `^[A-Za-z0-9]([A-Za-z0-9-]*\.[A-Za-z0-9.-]+(:[0-9]+)?|[A-Za-z0-9-]*:[0-9]+)/[a-z0-9]+([._/-]+[a-z0-9]+)*$`
	gitHubPattern      = `^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$`
	addressPattern     = `^https?://[!-~]+$`
	secretPattern      = `^(env://[A-Za-z_][A-Za-z0-9_]*|(file|cmd)://[^\x00]*[^\x00\s][^\x00]*)$`
	tagTemplatePattern = `^[^\x00-\x1f]+$`
	basePattern        = `^[^\x00-\x20]*$`
	healthPattern      = `^/[!-~]*$`
	timePattern        = `^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`
	filledPattern      = `\S`
	labelPattern       = `^[^\x00-\x20\x7f=]+$`
	noNULPattern       = `^[^\x00]*$`
	hostTargetPattern  = `^(local:?|ssh://([A-Za-z0-9_][A-Za-z0-9._-]*@)?([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?)$`
	listenPattern      = `^([0-9.]+|\[[0-9A-Fa-f:.]+\])?:[0-9]{1,5}$`
	domainPattern      = `^(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`
	onHostPattern      = `^/[^\x00-\x1f%]*$`
	bytesPattern       = `^[1-9][0-9]{0,5}(KiB|MiB|GiB|TiB)$`
	credentialPattern  = `^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$`
)

// rule is what a value must be beyond its type.
type rule struct {
	pattern  string
	values   []string
	not      []string // for the schema: validation says where else
	min, max int      // of a number, when they differ
	length   int      // longest string, 0 for any
	format   string
}

// ruleOf gives the rule that the tags of a field name.
func ruleOf(name string) rule {
	switch name {
	case "version":
		return rule{min: 1, max: 1}
	case "name":
		return rule{pattern: namePattern}
	case "go":
		return rule{pattern: goPattern}
	case "place":
		return rule{pattern: placePattern}
	case "target":
		return rule{values: target.Spellings()}
	case "link":
		return rule{values: []string{"static", "auto"}}
	case "tag":
		return rule{pattern: tagPattern}
	case "variable":
		return rule{pattern: variablePattern, not: slices.Sorted(maps.Keys(decided()))}
	case "template":
		return rule{length: maxVariableSize}
	case "repository":
		return rule{pattern: repositoryPattern}
	case "host":
		return rule{pattern: hostPattern}
	case "gitHub":
		return rule{pattern: gitHubPattern}
	case "address":
		return rule{pattern: addressPattern}
	case "format":
		return rule{values: []string{"deb", "rpm", "apk"}}
	case "secret":
		return rule{pattern: secretPattern}
	case "tagTemplate":
		return rule{pattern: tagTemplatePattern}
	case "base":
		return rule{pattern: basePattern}
	case "user":
		return rule{min: 0, max: 1<<31 - 1}
	case "port":
		return rule{min: 1, max: 65535}
	case "health":
		return rule{pattern: healthPattern}
	case "time":
		return rule{pattern: timePattern}
	case "retries":
		return rule{min: 0, max: 10}
	case "percent":
		return rule{min: 0, max: 100}
	case "filled":
		return rule{pattern: filledPattern}
	case "label":
		return rule{pattern: labelPattern}
	case "noNUL":
		return rule{pattern: noNULPattern}
	case "date":
		return rule{format: "date"}
	}
	return rolloutRule(name)
}

// rolloutRule is ruleOf for environments.
func rolloutRule(name string) rule {
	switch name {
	case "driver":
		return rule{values: []string{"host", "command"}}
	case "strategy":
		return rule{values: []string{string(rollout.BlueGreen), string(rollout.Rolling), string(rollout.Canary), string(rollout.InPlace)}}
	case "noTraffic":
		return rule{values: []string{string(rollout.FailWithout), string(rollout.PassOnHealth)}}
	case "tls":
		return rule{values: []string{"off", "auto", "files"}}
	case "relax":
		return rule{values: relaxations()}
	case "several":
		return rule{min: 1, max: 1000}
	case "many":
		return rule{min: 1, max: 1 << 30}
	case "weight":
		return rule{min: 1, max: 99}
	case "rate":
		return rule{min: 0, max: 1000}
	case "listen":
		return rule{pattern: listenPattern}
	case "domain":
		return rule{pattern: domainPattern}
	case "onHost":
		return rule{pattern: onHostPattern}
	case "bytes":
		return rule{pattern: bytesPattern}
	case "credential":
		return rule{pattern: credentialPattern}
	case "environmentVariable":
		return rule{pattern: variablePattern}
	}
	return rule{}
}

// relaxations are the keys that take something from the hardening of a unit.
func relaxations() []string {
	var names []string
	for _, relaxation := range systemd.Relaxations() {
		names = append(names, string(relaxation))
	}
	return names
}

// decided are the variables of the go command that another key decides.
func decided() map[string]string {
	return map[string]string{
		"GOOS": "targets", "GOARCH": "targets", "GOARM": "targets, as linux/arm/v7", "GOAMD64": "targets, as linux/amd64/v3",
		"GOARM64": "targets, as linux/arm64/v9.0", "GO386": "targets", "GOMIPS": "targets", "GOMIPS64": "targets", "GOPPC64": "targets",
		"GORISCV64": "targets", "CGO_ENABLED": "build.cgo", "GOTOOLCHAIN": "go.version",
	}
}

// allows says whether a string keeps the rule. Formats are not looked at.
func (r rule) allows(text string) bool {
	switch {
	case r.pattern != "" && !regexp.MustCompile(r.pattern).MatchString(text):
		return false
	case len(r.values) > 0 && !slices.Contains(r.values, text):
		return false
	}
	return r.length == 0 || len(text) <= r.length
}

// holds says whether a number keeps the rule.
func (r rule) holds(number float64) bool {
	return number >= float64(r.min) && number <= float64(r.max)
}

// between is the range of a rule, for people.
func (r rule) between() string {
	return "must be between " + strconv.Itoa(r.min) + " and " + strconv.Itoa(r.max)
}

// choices are the values of a rule, for people.
func (r rule) choices() string {
	return "write " + strings.Join(r.values, " or ")
}
