package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// account makes sure that the account of a service is there. A person's is refused.
func (m *machine) account(ctx context.Context, name string) error {
	if name == "" {
		return nil // systemd makes one for as long as the service runs
	}
	if !regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`).MatchString(name) {
		return refuse("", "user %q is no name for an account", name)
	}
	entry, err := m.passwd(ctx, name)
	if err != nil {
		return err
	}
	if entry != "" {
		return checkAccount(name, entry)
	}
	line := fmt.Sprintf(`u %s - "service deployed by slipway" / -`, name)
	_, err = m.systemd.run(ctx, "systemd-sysusers", "--inline", line)
	if err == nil {
		return nil
	}
	if _, second := m.systemd.run(ctx, "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/", "--shell", "/usr/sbin/nologin", "--", name); second != nil {
		return fmt.Errorf("make account %s: %w (%w)", name, err, second)
	}
	return nil
}

// passwd is an account's line, "" when there is none.
func (m *machine) passwd(ctx context.Context, name string) (string, error) {
	out, err := m.systemd.run(ctx, "getent", "passwd", "--", name)
	var failed *commandError
	if errors.As(err, &failed) && failed.code == 2 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for account: %w", err)
	}
	return strings.TrimSpace(out), nil
}

// checkAccount refuses root, and who can log in.
func checkAccount(name, entry string) error {
	fields := strings.Split(entry, ":")
	if len(fields) != 7 {
		return fmt.Errorf("look for account: %q is no line of passwd", entry)
	}
	shell := fields[6]
	if fields[2] == "0" || (!strings.HasSuffix(shell, "/nologin") && !strings.HasSuffix(shell, "/false") && shell != "") {
		return refuse("name another user for the service", "the account %s is a person's: it can log in (%s)", name, shell)
	}
	return nil
}
