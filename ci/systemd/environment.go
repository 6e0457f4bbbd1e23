package systemd

import (
	"errors"
	"fmt"
	"strings"
)

// EnvironmentFile is a file for [Service.EnvironmentFiles]: one variable a
// line, in the order given. A value may hold anything but NUL, line breaks
// included: systemd reads back what was written.
func EnvironmentFile(variables []Variable) (string, error) {
	if err := errors.Join(checkVariables(variables)...); err != nil {
		return "", fmt.Errorf("write environment file: %w", err)
	}
	var b strings.Builder
	special := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")
	for _, v := range variables {
		fmt.Fprintf(&b, "%s=\"%s\"\n", v.Name, special.Replace(v.Value))
	}
	return b.String(), nil
}
