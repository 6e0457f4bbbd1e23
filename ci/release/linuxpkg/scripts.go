package linuxpkg

import (
	"cmp"
	"embed"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/slipway-ci/slipway/ci/systemd"
)

//go:embed scripts
var scriptFiles embed.FS

// script is when a package manager runs one.
type script string

// The scripts, as nfpm calls them.
const (
	preInstall  script = "preinstall"
	postInstall script = "postinstall"
	postUpgrade script = "postupgrade"
	preRemove   script = "preremove"
	postRemove  script = "postremove"
)

// scripts fills in the scripts of a format. Only names from an allow-list get
// into them, never a text.
func (a App) scripts(f Format) (map[script]string, error) {
	filled := map[script]string{}
	for _, when := range []script{preInstall, postInstall, postUpgrade, preRemove, postRemove} {
		name := fmt.Sprintf("scripts/%s-%s.sh", f, when)
		if _, err := scriptFiles.Open(name); err != nil {
			continue
		}
		text, err := fillIn(name, map[string]string{"Name": a.Name, "Account": a.account()})
		if err != nil {
			return nil, err
		}
		filled[when] = text
	}
	return filled, nil
}

// openrc is the script with which Alpine starts the service.
func (a App) openrc() (string, error) {
	if _, err := systemd.Unit(a.unit()); err != nil { // what a unit cannot hold, nothing else should try to
		return "", err
	}
	var args []string
	for _, arg := range a.Service.Args {
		args = append(args, quote(arg))
	}
	grace := int64(cmp.Or(a.Service.Grace, systemd.DefaultGrace).Round(time.Second) / time.Second)
	return fillIn("scripts/openrc.sh", map[string]string{
		"Name": a.Name, "Account": a.account(), "Binary": a.Binary, "Configuration": a.configurationPath(),
		"Args": quote(strings.Join(args, " ")), "Port": strconv.Itoa(a.Service.Port), "Grace": strconv.FormatInt(max(grace, 1), 10),
		"Files": strconv.Itoa(cmp.Or(a.Service.Limits.Files, systemd.DefaultFiles)),
	})
}

func fillIn(name string, values map[string]string) (string, error) {
	parsed, err := template.New(name[strings.LastIndex(name, "/")+1:]).Option("missingkey=error").ParseFS(scriptFiles, name)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	var b strings.Builder
	if err := parsed.Execute(&b, values); err != nil {
		return "", fmt.Errorf("fill in %s: %w", name, err)
	}
	return b.String(), nil
}

// quote makes a text one word of a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
