package changelog

import (
	"fmt"
	"strings"
)

// shortHash is how much of a commit's hash is told. Forges link it.
const shortHash = 10

// Markdown is the changelog for a release page or a file. Texts of commits
// cannot become markup, but for `code`.
func (c Changelog) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s", escape(c.Version))
	if !c.Date.IsZero() {
		b.WriteString(c.Date.UTC().Format(" (2006-01-02)"))
	}
	b.WriteString("\n")
	if c.Since != "" {
		fmt.Fprintf(&b, "\nChanges since %s.\n", escape(c.Since))
	}
	for _, group := range Groups() {
		c.writeGroup(&b, group)
	}
	if len(c.Entries) == 0 {
		b.WriteString("\nNothing changed.\n")
	}
	for _, note := range c.Notes {
		fmt.Fprintf(&b, "\n> %s\n", escape(note))
	}
	return b.String()
}

func (c Changelog) writeGroup(b *strings.Builder, group Group) {
	entries := c.In(group)
	if len(entries) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n", group)
	for _, e := range entries {
		b.WriteString("- ")
		if e.Scope != "" {
			fmt.Fprintf(b, "**%s:** ", escape(e.Scope))
		}
		fmt.Fprintf(b, "%s (%s)\n", escape(e.Summary), e.Hash[:min(len(e.Hash), shortHash)])
		if e.Breaking != "" {
			fmt.Fprintf(b, "  %s\n", escape(e.Breaking))
		}
	}
}

// escape makes a text show as it is. `Code` stays code, where it is plain
// which backtick ends it.
func escape(text string) string {
	spans := strings.Split(text, "`")
	code := len(spans)%2 == 1 && !strings.Contains(text, "``")
	for i := range spans {
		if i%2 == 0 || !code {
			spans[i] = plain(spans[i])
		}
	}
	if code {
		return strings.Join(spans, "`")
	}
	return strings.Join(spans, "\\`")
}

// plain escapes what Markdown or HTML would read.
func plain(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "~", `\~`, "<", "&lt;", ">", "&gt;", "&", "&amp;").Replace(text)
}
