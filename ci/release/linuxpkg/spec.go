package linuxpkg

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/ci/systemd"
)

// spec is one package, decided: its files and scripts as texts. It is made
// without touching anything.
type spec struct {
	Package
	app     App
	binary  Binary
	arch    string
	depends []string
	files   []file
	scripts map[script]string
}

// file is one file of a package whose content is a text.
type file struct {
	path, text string
	mode       uint32
	config     bool // an upgrade keeps what was changed
}

// specify decides a package.
func specify(app App, binary Binary, format Format) (spec, error) {
	app.Binary = cmp.Or(app.Binary, app.Name)
	app.Description = cmp.Or(strings.TrimSpace(app.Description), app.Name)
	if err := app.check(format); err != nil {
		return spec{}, err
	}
	v, err := parseVersion(app.Version)
	if err != nil {
		return spec{}, err
	}
	s := spec{app: app, binary: binary, Package: Package{Format: format, Target: binary.Target, Version: v.dpkg()}}
	if format == APK {
		s.Version = v.apk()
	}
	if format == Deb && len(app.Name) < 2 {
		return spec{}, &unsupported{format, binary.Target, "Debian's names have two characters or more"}
	}
	if s.arch, err = arch(format, binary.Target); err != nil {
		return spec{}, err
	}
	// Not the format's own convention: a ~ in it would be changed by GitHub.
	s.File = fmt.Sprintf("%s_%s_%s.%s", app.Name, strings.TrimPrefix(app.Version, "v"), binary.Target.Dir(), format)
	return s, s.fill()
}

func (s *spec) fill() error {
	if s.binary.Libc {
		needed, err := libc(s.Format, s.binary.Target)
		if err != nil {
			return err
		}
		s.depends = append(s.depends, needed)
	}
	if s.app.Service == nil {
		return nil
	}
	init, err := s.app.initFile(s.Format)
	if err != nil {
		return err
	}
	configuration, err := s.app.configuration(s.Format)
	if err != nil {
		return err
	}
	s.files = []file{init, configuration}
	s.scripts, err = s.app.scripts(s.Format)
	s.depends = append(s.depends, accountTools(s.Format)...)
	return err
}

// accountTools are packages whose commands the scripts call.
func accountTools(f Format) []string {
	switch f {
	case Deb:
		return []string{"init-system-helpers", "passwd"}
	case RPM:
		return []string{"/usr/sbin/useradd"}
	}
	return []string{"openrc"}
}

// initFile is what starts the service.
func (a App) initFile(f Format) (file, error) {
	if f == APK {
		text, err := a.openrc()
		return file{path: "/etc/init.d/" + a.Name, text: text, mode: 0o755}, err
	}
	unit, err := systemd.Unit(a.unit())
	return file{path: "/usr/lib/systemd/system/" + a.Name + ".service", text: unit, mode: 0o644}, err
}

func (a App) unit() systemd.Service {
	summary, _, _ := strings.Cut(a.Description, "\n")
	return systemd.Service{
		Name: a.Name, Description: strings.TrimSpace(summary), Homepage: a.Homepage,
		Command: append([]string{"/usr/bin/" + a.Binary}, a.Service.Args...),
		User:    a.account(), State: a.Name, EnvironmentFiles: []string{"-" + a.configurationPath()},
		Port: a.Service.Port, Notify: a.Service.Notify, Start: a.Service.Start, Grace: a.Service.Grace,
		Limits: a.Service.Limits, Relax: a.Service.Relax,
	}
}

func (a App) configurationPath() string { return "/etc/" + a.Name + "/" + a.Name + ".env" }

// configuration is the file that administrators edit. Only root reads it:
// there may be secrets in it.
func (a App) configuration(f Format) (file, error) {
	variables, err := systemd.EnvironmentFile(a.Service.Environment)
	if err != nil {
		return file{}, err
	}
	restart := "systemctl restart " + a.Name
	if f == APK {
		restart = "rc-service " + a.Name + " restart"
	}
	text := fmt.Sprintf("# What %s finds in its environment: NAME=\"value\", one a line.\n# After a change: %s\n# An upgrade of the package keeps this file as it is.\n", a.Name, restart)
	if a.Service.Port != 0 {
		text += fmt.Sprintf("#PORT=\"%d\"\n", a.Service.Port)
	}
	return file{path: a.configurationPath(), text: text + variables, mode: 0o600, config: true}, nil
}

// account is the service's own. Accounts may not start with a digit, nor be as
// long as names.
func (a App) account() string {
	if a.Name[0] >= '0' && a.Name[0] <= '9' {
		return "_" + a.Name[:min(len(a.Name), 30)]
	}
	return a.Name[:min(len(a.Name), 31)]
}

// check finds what would break out of a line of a package's description.
func (a App) check(f Format) error {
	var problems []error
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`).MatchString(a.Name) {
		problems = append(problems, fmt.Errorf("name %q: it may have 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends", a.Name))
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+~-]*$`).MatchString(a.Binary) {
		problems = append(problems, fmt.Errorf("binary %q: it may have letters, digits and _ . + ~ -, and starts with a letter, a digit or _", a.Binary))
	}
	if a.Date.IsZero() || a.Date.Unix() < 0 || a.Date.Unix() > 1<<32-1 {
		problems = append(problems, fmt.Errorf("date %s: packages hold 1970 to 2106", a.Date))
	}
	lines := []struct{ what, text string }{{"homepage", a.Homepage}, {"license", a.License}, {"maintainer", a.Maintainer}}
	for _, l := range lines {
		if !utf8.ValidString(l.text) || strings.ContainsFunc(l.text, unicode.IsControl) {
			problems = append(problems, fmt.Errorf("%s %q is not one line of text", l.what, l.text))
		}
	}
	if control := func(r rune) bool { return r != '\n' && unicode.IsControl(r) }; !utf8.ValidString(a.Description) || strings.ContainsFunc(a.Description, control) {
		problems = append(problems, errors.New("the description holds control characters"))
	}
	if !known(f) {
		problems = append(problems, fmt.Errorf("format %q is unknown: there are deb, rpm and apk", f))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("package %q: %w", a.Name, err)
	}
	return nil
}
