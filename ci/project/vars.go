package project

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"golang.org/x/mod/module"
)

// templateData is what templates in vars may use.
type templateData struct {
	Version, Commit, ShortCommit, Date, Tag, Branch, App string
	Dirty                                                bool
}

// setVars fills in the variables that the linker sets in each app: those of
// slipway.yaml, else those that package main declares for the purpose.
func (l *loader) setVars(context.Context) error {
	for i := range l.project.Apps {
		app := &l.project.Apps[i]
		main, ok := l.tree.main(path.Join(app.Dir, app.Main))
		if !ok {
			continue // already blamed
		}
		declared := declaredStrings(l.fsys, main)
		if len(l.cfg.Apps) > 0 && l.cfg.Apps[i].Vars != nil {
			app.Vars = l.namedVars(fmt.Sprintf("apps[%d].vars", i), l.cfg.Apps[i].Vars, declared, *app)
			continue
		}
		app.Vars = l.inferVars(declared, *app)
	}
	return nil
}

func (l *loader) namedVars(field string, vars map[string]string, declared []string, app App) map[string]string {
	expanded := make(map[string]string, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		at := join(field, name)
		if l.doc.isBlamed(at) {
			continue
		}
		l.checkVar(at, name, declared)
		value, err := expand(vars[name], l.templateData(app))
		if err != nil {
			l.doc.blame(at, err.Error(), "known: {{.Version}}, {{.Commit}}, {{.ShortCommit}}, {{.Date}}, {{.Tag}}, {{.Branch}}, {{.Dirty}}, {{.App}}")
			continue
		}
		if err := CheckVar(value); err != nil {
			l.doc.blame(at, err.Error(), "leave one of the three out")
			continue
		}
		expanded[name] = value
	}
	return expanded
}

// CheckVar says why a variable cannot have a value, or nil. The linker's flags
// know both quotes and no escape, so that a value with white space must lack
// one of them.
func CheckVar(value string) error {
	if strings.ContainsAny(value, " \t\r\n") && strings.Contains(value, "'") && strings.Contains(value, `"`) {
		return fmt.Errorf("%q has white space and both kinds of quotes, which the linker cannot be given", value)
	}
	return nil
}

// closesQuotes says whether flags end outside of quotes. They are split as the
// go command does it: a quote counts at the beginning of a flag only.
func closesQuotes(flags string) bool {
	for {
		flags = strings.TrimLeft(flags, " \t\r\n")
		if flags == "" {
			return true
		}
		if quote := flags[:1]; quote == "'" || quote == `"` {
			_, rest, closed := strings.Cut(flags[1:], quote)
			if !closed {
				return false
			}
			flags = rest
			continue
		}
		end := strings.IndexAny(flags, " \t\r\n")
		if end < 0 {
			return true
		}
		flags = flags[end:]
	}
}

// checkVar refuses a variable that the linker would silently not set.
func (l *loader) checkVar(field, name string, declared []string) {
	pkg, variable, ok := cutLast(name, ".")
	if !ok || !token.IsIdentifier(variable) || pkg != "main" && module.CheckImportPath(pkg) != nil {
		l.doc.blame(field, fmt.Sprintf("%q is no variable", name), "write package.name, such as main.version")
		return
	}
	if pkg != "main" || slices.Contains(declared, variable) {
		return
	}
	hint := didYouMean(variable, declared)
	if hint == "" {
		hint = fmt.Sprintf("declare it: var %s = \"\"", variable)
	}
	l.doc.blame(field, fmt.Sprintf("package main declares no string variable %s", variable), hint)
}

func (l *loader) inferVars(declared []string, app App) map[string]string {
	vars := map[string]string{}
	data := l.templateData(app)
	for _, name := range declared {
		value := meaning(name, declared)
		if value == "" {
			continue
		}
		expanded, err := expand(value, data)
		if err != nil {
			continue // our own templates; a test holds them
		}
		vars["main."+name] = expanded
		l.reason(app.Name+" main."+name, expanded, "package main declares it")
	}
	return vars
}

// meaning is the template for a variable by its name, or "". Short words such
// as date or tag may mean anything, so they count only beside a version.
func meaning(name string, declared []string) string {
	plain := strings.ToLower(strings.ReplaceAll(name, "_", ""))
	switch plain {
	case "version", "buildversion", "appversion":
		return "{{.Version}}"
	case "commit", "gitcommit", "buildcommit", "commithash", "commitsha", "gitsha", "gitrevision":
		return "{{.Commit}}"
	case "shortcommit", "gitshortcommit":
		return "{{.ShortCommit}}"
	case "builddate", "buildtime", "commitdate":
		return "{{.Date}}"
	case "gittag":
		return "{{.Tag}}"
	case "gitbranch":
		return "{{.Branch}}"
	}
	versioned := slices.ContainsFunc(declared, func(other string) bool { return strings.EqualFold(other, "version") })
	switch {
	case versioned && plain == "revision":
		return "{{.Commit}}"
	case versioned && plain == "date":
		return "{{.Date}}"
	}
	return ""
}

func (l *loader) templateData(app App) templateData {
	v := l.project.Version
	return templateData{
		Version: v.Version, Commit: v.Commit, ShortCommit: v.Short, Date: v.Date.Format(time.RFC3339),
		Tag: v.Tag, Branch: l.project.Source.Branch, App: app.Name, Dirty: v.Dirty,
	}
}

// declaredStrings are the top-level variables of package main that the linker
// can set: of type string, without a value or with a constant one.
func declaredStrings(fsys fs.FS, main mainDir) []string {
	var names []string
	for _, f := range main.files {
		source, err := fs.ReadFile(fsys, path.Join(main.dir, f.name))
		if err != nil {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.name, source, parser.SkipObjectResolution)
		if err != nil {
			continue // the compiler says it better
		}
		for _, declaration := range file.Decls {
			names = append(names, stringVars(declaration)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func stringVars(declaration ast.Decl) []string {
	group, ok := declaration.(*ast.GenDecl)
	if !ok || group.Tok != token.VAR {
		return nil
	}
	var names []string
	for _, spec := range group.Specs {
		values, ok := spec.(*ast.ValueSpec)
		if !ok {
			continue
		}
		for i, name := range values.Names {
			if name.Name != "_" && isStringVar(values, i) {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

func isStringVar(spec *ast.ValueSpec, i int) bool {
	typed, isIdent := spec.Type.(*ast.Ident)
	if spec.Type != nil && (!isIdent || typed.Name != "string") {
		return false
	}
	if len(spec.Values) == 0 {
		return spec.Type != nil
	}
	return i < len(spec.Values) && isConstantString(spec.Values[i])
}

func isConstantString(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.ParenExpr:
		return isConstantString(e.X)
	case *ast.BinaryExpr:
		return e.Op == token.ADD && isConstantString(e.X) && isConstantString(e.Y)
	}
	return false
}

// expand fills a template in. Only values and conditions are allowed: what a
// loop or a nested template could do has no place in a version.
func expand(text string, data templateData) (string, error) {
	if len(text) > maxVariableSize {
		return "", fmt.Errorf("is longer than %d bytes", maxVariableSize)
	}
	t, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", errors.New(plainTemplateError(err))
	}
	if len(t.Templates()) > 1 || t.Tree != nil && !onlyValues(t.Root) {
		return "", errors.New("only values and if are allowed in this template")
	}
	var b strings.Builder
	if t.Tree != nil {
		if err := t.Execute(&b, data); err != nil {
			return "", errors.New(plainTemplateError(err))
		}
	}
	if strings.ContainsAny(b.String(), "\x00\r\n") {
		return "", errors.New("gives more than one line")
	}
	return b.String(), nil
}

func onlyValues(list *parse.ListNode) bool {
	if list == nil {
		return true
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.TextNode, *parse.ActionNode, *parse.CommentNode:
		case *parse.IfNode:
			if !onlyValues(n.List) || !onlyValues(n.ElseList) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// plainTemplateError drops the name and type that only Go programmers of
// this package would understand.
func plainTemplateError(err error) string {
	text := err.Error()
	if field := regexp.MustCompile(`can't evaluate field (\w+) in type`).FindStringSubmatch(text); field != nil {
		return "there is no value ." + field[1]
	}
	return "is no template: " + regexp.MustCompile(`^template: (:?\d+(:\d+)?: )?(executing "" at )?`).ReplaceAllString(text, "")
}
