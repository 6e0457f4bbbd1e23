package systemd

import (
	"fmt"
	"strings"
)

// directive is one line of a unit. Its value is text as it stands in the file.
type directive struct{ key, value string }

type section struct {
	name       string
	directives []directive
}

func join(lists ...[]directive) []directive {
	var all []directive
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// render writes sections down. Every value was checked or quoted before; a
// line that would reach into the next is a mistake of this package, and is
// refused here rather than written.
func render(comment string, sections []section) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", comment)
	for i, s := range sections {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "[%s]\n", s.name)
		for _, d := range s.directives {
			if strings.ContainsAny(d.value, "\n\r\x00") || strings.HasSuffix(d.value, `\`) {
				return "", fmt.Errorf("write unit: the value of %s does not end with its line: %q", d.key, d.value)
			}
			fmt.Fprintf(&b, "%s=%s\n", d.key, d.value)
		}
	}
	return b.String(), nil
}
