package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// firewall says which ports a firewall of this machine may keep others from, as far as can be seen from here. One elsewhere
// cannot be.
func (m *machine) firewall(ctx context.Context, listen []string) []protocol.Problem {
	var problems []protocol.Problem
	for _, address := range listen {
		host, port, err := net.SplitHostPort(address)
		if err != nil || isLoopback(host) {
			continue
		}
		if what, next := m.blocks(ctx, port); what != "" {
			problems = append(problems, protocol.Problem{What: what, Next: next, Perhaps: true})
		}
	}
	return problems
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// blocks asks each kind of firewall that there may be.
func (m *machine) blocks(ctx context.Context, port string) (what, next string) {
	if out, err := m.systemd.run(ctx, "ufw", "status"); err == nil && ufwBlocks(out, port) {
		return fmt.Sprintf("ufw is active, and no rule of it allows port %s", port), "ufw allow " + port + "/tcp"
	}
	if out, err := m.systemd.run(ctx, "firewall-cmd", "--list-all"); err == nil && firewalldBlocks(out, port) {
		return fmt.Sprintf("firewalld runs, and its default zone does not open port %s", port), "firewall-cmd --add-port=" + port + "/tcp --permanent && firewall-cmd --reload"
	}
	if out, err := m.systemd.run(ctx, "iptables", "-S", "INPUT"); err == nil && iptablesBlocks(out, port) {
		return fmt.Sprintf("the firewall drops what no rule allows, and no rule names port %s", port), "iptables -I INPUT -p tcp --dport " + port + " -j ACCEPT, and the same where your rules are kept"
	}
	if out, err := m.systemd.run(ctx, "nft", "list", "ruleset"); err == nil && nftBlocks(out, port) {
		return fmt.Sprintf("the firewall drops what no rule allows, and no rule names port %s", port), "add tcp dport " + port + " accept to the input chain of /etc/nftables.conf"
	}
	return "", ""
}

func ufwBlocks(status, port string) bool {
	if !strings.HasPrefix(status, "Status: active") {
		return false
	}
	for line := range strings.Lines(status) {
		fields := strings.Fields(line)
		if len(fields) > 1 && (fields[0] == port || fields[0] == port+"/tcp") && slices.Contains(fields, "ALLOW") {
			return false
		}
	}
	return true
}

func firewalldBlocks(zone, port string) bool {
	for line := range strings.Lines(zone) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields := strings.Fields(value)
		switch {
		case key == "target" && slices.Contains(fields, "ACCEPT"),
			key == "ports" && slices.Contains(fields, port+"/tcp"),
			key == "services" && (port == "80" && slices.Contains(fields, "http") || port == "443" && slices.Contains(fields, "https")):
			return false
		}
	}
	return true
}

func iptablesBlocks(rules, port string) bool {
	drops := false
	for line := range strings.Lines(rules) {
		fields := strings.Fields(line)
		if slices.Equal(fields, []string{"-P", "INPUT", "DROP"}) || slices.Equal(fields, []string{"-P", "INPUT", "REJECT"}) {
			drops = true
		}
		// A last rule that takes all is the same as a policy.
		if slices.Equal(fields, []string{"-A", "INPUT", "-j", "DROP"}) || len(fields) > 3 && fields[2] == "-j" && fields[3] == "REJECT" {
			drops = true
		}
		if slices.Equal(fields, []string{"-A", "INPUT", "-j", "ACCEPT"}) {
			return false
		}
		if at := slices.Index(fields, "--dport"); at >= 0 && at+1 < len(fields) && fields[at+1] == port && slices.Contains(fields, "ACCEPT") {
			return false
		}
		if at := slices.Index(fields, "--dports"); at >= 0 && at+1 < len(fields) && slices.Contains(strings.Split(fields[at+1], ","), port) && slices.Contains(fields, "ACCEPT") {
			return false
		}
	}
	return drops
}

// nftBlocks looks at chains of the input hook with policy drop, for a rule that names the port or accepts everything.
func nftBlocks(ruleset, port string) bool {
	blocked, within := false, false
	for line := range strings.Lines(ruleset) {
		line = strings.TrimSpace(line)
		switch {
		case strings.Contains(line, "hook input") && strings.Contains(line, "policy drop"):
			blocked, within = true, true
		case line == "}":
			within = false
		case within && line == "accept":
			return false
		case strings.Contains(line, "dport") && strings.Contains(line, "accept") && namesPort(line, port):
			return false
		}
	}
	return blocked
}

func namesPort(rule, port string) bool {
	fields := strings.FieldsFunc(rule, func(r rune) bool { return strings.ContainsRune(" ,{}", r) })
	return slices.Contains(fields, port) || (port == "80" && slices.Contains(fields, "http")) || (port == "443" && slices.Contains(fields, "https"))
}
