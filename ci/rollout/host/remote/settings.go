package remote

import (
	"cmp"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings are how to reach one machine.
type settings struct {
	host, port, user string
	known            string // the name under which its key is looked up
	identities       []string
	certificates     []string
	identitiesOnly   bool
	agent            string // a socket; "" means none
	userKnown        []string
	systemKnown      []string
	jumps            []string
	command          string // ProxyCommand, which is refused
	timeout          time.Duration
}

func (s settings) address() string { return net.JoinHostPort(s.host, s.port) }

// resolve is what address and configuration say together.
func (o Options) resolve(asked hop) (settings, error) {
	v, err := o.configuration(asked)
	if err != nil {
		return settings{}, err
	}
	s := settings{
		host: asked.host, port: cmp.Or(asked.port, v.first("port"), "22"), user: cmp.Or(asked.user, v.first("user"), o.User),
		identitiesOnly: yes(v.first("identitiesonly")), timeout: o.Timeout,
	}
	if name := v.first("hostname"); name != "" {
		s.host = expand(name, map[byte]string{'h': asked.host})
	}
	s.host = strings.ToLower(s.host)
	if alias := v.first("hostkeyalias"); alias != "" {
		s.known = net.JoinHostPort(alias, "22") // with which the port is not part of the name
	} else {
		s.known = s.address()
	}
	if seconds, err := strconv.Atoi(v.first("connecttimeout")); err == nil && seconds > 0 {
		s.timeout = time.Duration(seconds) * time.Second
	}
	o.files(&s, v, asked)
	o.way(&s, v)
	return s, hop{s.user, s.host, s.port}.check()
}

// files are keys and known hosts.
func (o Options) files(s *settings, v values, asked hop) {
	path := o.paths(*s, asked)
	for _, file := range v["identityfile"] {
		if !strings.EqualFold(file, "none") {
			s.identities = append(s.identities, path(file))
		}
	}
	if len(v["identityfile"]) == 0 {
		s.identities = o.defaultKeys()
	}
	for _, file := range v["certificatefile"] {
		s.certificates = append(s.certificates, path(file))
	}
	known := func(keyword string, otherwise ...string) (files []string) {
		if list, ok := v[keyword]; ok {
			otherwise = list
		}
		for _, file := range otherwise {
			if !strings.EqualFold(file, "none") {
				files = append(files, path(file))
			}
		}
		return files
	}
	s.userKnown = known("userknownhostsfile", "~/.ssh/known_hosts", "~/.ssh/known_hosts2")
	s.systemKnown = known("globalknownhostsfile", filepath.Join(o.System, "ssh_known_hosts"), filepath.Join(o.System, "ssh_known_hosts2"))
	s.agent = o.agent(v.first("identityagent"), path)
}

// agent is the socket of the agent to ask.
func (o Options) agent(configured string, path func(string) string) string {
	switch {
	case strings.EqualFold(configured, "none"):
		return ""
	case configured == "" || configured == "SSH_AUTH_SOCK":
		return o.Getenv("SSH_AUTH_SOCK")
	case strings.HasPrefix(configured, "$") && !strings.HasPrefix(configured, "${"):
		return o.Getenv(configured[1:])
	}
	return path(configured)
}

// way is what is between.
func (o Options) way(s *settings, v values) {
	if jump := strings.Join(v["proxyjump"], ","); jump != "" && !strings.EqualFold(jump, "none") {
		s.jumps = slices.DeleteFunc(strings.Split(jump, ","), func(part string) bool { return part == "" })
		return
	}
	if command := strings.Join(v["proxycommand"], " "); !strings.EqualFold(command, "none") {
		s.command = command
	}
}

// paths is how a file name of the configuration becomes a path.
func (o Options) paths(s settings, asked hop) func(string) string {
	tokens := map[byte]string{'h': s.host, 'n': asked.host, 'p': s.port, 'r': s.user, 'u': o.User, 'd': o.Home, 'k': s.known, 'i': strconv.Itoa(os.Getuid())}
	return func(name string) string {
		var b strings.Builder
		for rest := expand(o.tilde(name), tokens); ; {
			before, after, found := strings.Cut(rest, "${")
			variable, behind, closed := strings.Cut(after, "}")
			if !found || !closed {
				b.WriteString(rest)
				return b.String()
			}
			b.WriteString(before + o.Getenv(variable))
			rest = behind
		}
	}
}

func yes(text string) bool { return strings.EqualFold(text, "yes") || strings.EqualFold(text, "true") }
