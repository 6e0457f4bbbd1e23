package project

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// document is a configuration file while it is read: where each value stands
// and what is wrong so far. A field is blamed once; what follows from a first
// mistake would only hide it.
type document struct {
	file     string // as shown to users; "" when there is no file
	problems []Problem
	places   map[string]place
	blamed   map[string]bool
}

type place struct{ line, column int }

// readConfig decodes a configuration file strictly. The library's own strict
// mode stops at the first mistake; users want all of them at once.
func readConfig(file string, data []byte) (config, *document) {
	d := &document{file: file, places: map[string]place{}, blamed: map[string]bool{}}
	var c config
	node := d.parse(data)
	if node == nil {
		return c, d
	}
	d.checkVersion(node)
	if len(d.problems) == 0 || !d.blamed["version"] {
		d.decode("", node, reflect.ValueOf(&c).Elem())
	}
	return c, d
}

// blame records a problem with a field, at the field or at what is nearest
// above it.
func (d *document) blame(field, message, hint string) {
	d.blameAt(d.place(field), field, message, hint)
}

func (d *document) blameAt(at place, field, message, hint string) {
	if d.isBlamed(field) {
		return
	}
	d.blamed[field] = true
	d.problems = append(d.problems, Problem{Line: at.line, Column: at.column, Field: field, Message: printable(message), Hint: printable(hint)})
}

// printable escapes what would not be shown, or would move the cursor of a
// terminal: messages quote what stands in the file.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}

// isBlamed says whether a field, or one that it is a part of, is wrong.
func (d *document) isBlamed(field string) bool {
	for {
		if d.blamed[field] {
			return true
		}
		cut := strings.LastIndexAny(field, ".[")
		if cut < 0 {
			return false
		}
		field = field[:cut]
	}
}

// has says whether the file names the field.
func (d *document) has(field string) bool {
	_, ok := d.places[field]
	return ok
}

// err is all problems as one error, or nil.
func (d *document) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	sortProblems(d.problems)
	return &ConfigError{File: d.file, Problems: d.problems}
}

func (d *document) place(field string) place {
	for {
		if at, ok := d.places[field]; ok {
			return at
		}
		cut := strings.LastIndexAny(field, ".[")
		if cut < 0 {
			return place{1, 1}
		}
		field = field[:cut]
	}
}

// parse gives the mapping at the top of the file, or nil after blaming it.
func (d *document) parse(data []byte) (top ast.Node) {
	defer func() {
		if recover() != nil {
			d.blameAt(place{1, 1}, "", "is not YAML that can be read", "check it with a YAML linter")
			top = nil
		}
	}()
	if len(data) > maxConfigSize {
		d.blameAt(place{1, 1}, "", fmt.Sprintf("is larger than %d KiB", maxConfigSize>>10), "is it the file that was meant?")
		return nil
	}
	if !utf8.Valid(data) {
		d.blameAt(place{1, 1}, "", "is not UTF-8 text", "it should be YAML, saved as UTF-8")
		return nil
	}
	if line := conflictLine(data); line > 0 {
		d.blameAt(place{line, 1}, "", "an unresolved merge conflict begins here", "resolve it, and remove the lines with <<<<<<<, ======= and >>>>>>>")
		return nil
	}
	if line := tooDeep(data); line > 0 {
		d.blameAt(place{line, 1}, "", "is nested too deeply", "close the brackets")
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.blameSyntax(err)
		return nil
	}
	return d.onlyDocument(file)
}

// tooDeep is the line in which brackets are nested deeper than any real file
// needs, or 0. The parser's time and memory grow with the square of it.
func tooDeep(data []byte) int {
	depth, line := 0, 1
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '\n':
			line++
		}
		if depth > maxConfigNesting {
			return line
		}
	}
	return 0
}

func (d *document) blameSyntax(err error) {
	at, message := place{1, 1}, ""
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		at, message = placeOfToken(syntax.Token), syntax.Message
	} else {
		message = err.Error()
	}
	message, _, _ = strings.Cut(message, "\n")
	d.blameAt(at, "", "is not valid YAML: "+message, syntaxHint(message))
}

// syntaxHint is what mostly leads to a message of the YAML parser.
func syntaxHint(message string) string {
	switch {
	case strings.Contains(message, "\t"):
		return "indent with spaces: YAML takes no tabs"
	case strings.Contains(message, "end token"):
		return "close the bracket"
	}
	return "see the indentation of this line and of the one above"
}

func (d *document) onlyDocument(file *ast.File) ast.Node {
	bodies := make([]ast.Node, 0, len(file.Docs))
	for _, doc := range file.Docs {
		if doc != nil && doc.Body != nil && doc.Body.Type() != ast.NullType && doc.Body.Type() != ast.CommentGroupType {
			bodies = append(bodies, doc.Body)
		}
	}
	switch {
	case len(bodies) == 0:
		d.blameAt(place{1, 1}, "version", "is missing", "begin the file with: version: 1")
		return nil
	case len(bodies) > 1:
		d.blameAt(placeOf(bodies[1]), "", "a second YAML document begins here", "keep one document per file")
		return nil
	}
	return bodies[0]
}

// checkVersion comes before everything else: a file of another format would
// only give misleading problems.
func (d *document) checkVersion(top ast.Node) {
	pairs, ok := pairsOf(top)
	if !ok {
		return // decode says that a mapping is needed
	}
	for i, pair := range pairs {
		if keyOf(pair) != "version" {
			continue
		}
		if number, ok := pair.Value.(*ast.IntegerNode); ok && fmt.Sprint(number.Value) != "1" {
			d.blameAt(placeOf(pair.Value), "version", fmt.Sprintf("is %v, and this release reads only 1", number.Value), "write version: 1, or use a newer slipway")
			return
		}
		if i > 0 {
			d.blameAt(placeOf(pair.Key), "version", "must be the first key", "move it to the top")
			delete(d.blamed, "version")
		}
		return
	}
}

func (d *document) decode(field string, node ast.Node, into reflect.Value) {
	if _, ok := d.places[field]; !ok {
		d.places[field] = placeOf(node)
	}
	if d.refuse(field, node, into) {
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		value := reflect.New(into.Type().Elem())
		d.decode(field, node, value.Elem())
		into.Set(value)
	case reflect.Struct:
		d.decodeStruct(field, node, into)
	case reflect.Map:
		d.decodeMap(field, node, into)
	case reflect.Slice:
		d.decodeSlice(field, node, into)
	default:
		d.decodeScalar(field, node, into)
	}
}

// refuse handles what is the same for all types: values left empty and the
// parts of YAML that this file has no use for.
func (d *document) refuse(field string, node ast.Node, into reflect.Value) bool {
	switch node.(type) {
	case nil:
		return true
	case *ast.NullNode:
		if !mayBeEmpty(field, into.Type()) {
			d.blame(field, "has no value", "write "+expected(into.Type())+", or remove the line")
		}
		return true
	case *ast.AnchorNode, *ast.AliasNode:
		d.blame(field, "uses a YAML anchor or alias, which slipway.yaml has not", "write the value out")
		return true
	case *ast.TagNode:
		d.blame(field, "uses a YAML tag, which slipway.yaml has not", "write the value without it")
		return true
	}
	return false
}

func (d *document) decodeStruct(field string, node ast.Node, into reflect.Value) {
	pairs, ok := pairsOf(node)
	if !ok {
		d.blameType(field, node, into.Type())
		return
	}
	fields := fieldsOf(into.Type())
	seen := map[string]bool{}
	for _, pair := range pairs {
		key := keyOf(pair)
		child := join(field, key)
		index, known := fields[key]
		switch {
		case !known:
			d.blameUnknown(field, key, pair, into.Type())
		case seen[key]:
			d.blameTwice(pair, child)
		default:
			d.places[child] = placeOfPair(pair)
			d.decode(child, pair.Value, into.Field(index))
		}
		seen[key] = true
	}
	d.checkNeeded(field, into.Type(), seen)
}

func (d *document) checkNeeded(field string, t reflect.Type, seen map[string]bool) {
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		if key := tag.Get("yaml"); tag.Get("need") == "yes" && !seen[key] && !misspelt(key, seen, t) {
			hint := "add " + key
			if field == "" && key == "version" {
				hint = "begin the file with: version: 1"
			}
			d.blameAt(d.place(field), join(field, key), "is missing", hint)
		}
	}
}

// misspelt says whether a key is there after all, as the unknown field that
// was blamed with it as the hint.
func misspelt(key string, seen map[string]bool, t reflect.Type) bool {
	known := keysOf(t)
	for other := range seen {
		if !slices.Contains(known, other) && nearest(other, known) == key {
			return true
		}
	}
	return false
}

func (d *document) decodeMap(field string, node ast.Node, into reflect.Value) {
	pairs, ok := pairsOf(node)
	if !ok {
		d.blameType(field, node, into.Type())
		return
	}
	into.Set(reflect.MakeMap(into.Type()))
	for _, pair := range pairs {
		key := keyOf(pair)
		child := join(field, key)
		if pair.Key.IsMergeKey() {
			d.blameAt(placeOf(pair.Key), child, "uses a YAML merge key, which slipway.yaml has not", "write the values out")
			continue
		}
		if d.has(child) {
			d.blameTwice(pair, child)
			continue
		}
		d.places[child] = placeOfPair(pair)
		value := reflect.New(into.Type().Elem()).Elem()
		d.decode(child, pair.Value, value)
		into.SetMapIndex(reflect.ValueOf(key), value)
	}
}

func (d *document) decodeSlice(field string, node ast.Node, into reflect.Value) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		d.blameType(field, node, into.Type())
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(list.Values), len(list.Values)))
	for i, value := range list.Values {
		d.decode(fmt.Sprintf("%s[%d]", field, i), value, into.Index(i))
	}
}

func (d *document) decodeScalar(field string, node ast.Node, into reflect.Value) {
	ok := false
	switch n := node.(type) {
	case *ast.StringNode:
		ok = setString(into, n.Value)
	case *ast.LiteralNode:
		ok = n.Value != nil && setString(into, n.Value.Value)
	case *ast.BoolNode:
		if ok = into.Kind() == reflect.Bool; ok {
			into.SetBool(n.Value)
		}
	case *ast.IntegerNode:
		ok = setInteger(into, n.Value)
	case *ast.FloatNode:
		if ok = into.Kind() == reflect.Float64; ok {
			into.SetFloat(n.Value)
		}
	}
	if !ok {
		d.blameType(field, node, into.Type())
	}
}

func (d *document) blameType(field string, node ast.Node, want reflect.Type) {
	d.blameAt(placeOf(node), field, fmt.Sprintf("must be %s, not %s", expected(want), found(node)), retype(node, want))
}

func (d *document) blameUnknown(parent, key string, pair *ast.MappingValueNode, t reflect.Type) {
	at, field := placeOf(pair.Key), join(parent, key)
	known := keysOf(t)
	switch {
	case pair.Key.IsMergeKey():
		d.blameAt(at, field, "uses a YAML merge key, which slipway.yaml has not", "write the values out")
	case nearest(key, known) != "":
		d.blameAt(at, field, "unknown field", didYouMean(key, known))
	case homeOf(key) != "":
		d.blameAt(at, field, "unknown field", "it belongs under "+homeOf(key))
	default:
		d.blameAt(at, field, "unknown field", "known here: "+strings.Join(known, ", "))
	}
}

// blameTwice leaves the field unblamed: its first value may be wrong too.
func (d *document) blameTwice(pair *ast.MappingValueNode, field string) {
	at := placeOf(pair.Key)
	d.problems = append(d.problems, Problem{Line: at.line, Column: at.column, Field: field, Message: "is there twice", Hint: "remove one"})
}

// homeOf is the only place of the file that knows a key, or "": a correct key
// is often only indented wrongly.
func homeOf(key string) string {
	var homes []string
	var search func(path string, t reflect.Type)
	search = func(path string, t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer:
			search(path, t.Elem())
		case reflect.Slice:
			search(path+"[]", t.Elem())
		case reflect.Struct:
			for name, i := range fieldsOf(t) {
				if name == key {
					homes = append(homes, path)
				}
				search(join(path, name), t.Field(i).Type)
			}
		}
	}
	search("", reflect.TypeFor[config]())
	if len(homes) != 1 {
		return ""
	}
	return homes[0]
}

func fieldsOf(t reflect.Type) map[string]int {
	fields := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		fields[t.Field(i).Tag.Get("yaml")] = i
	}
	return fields
}

func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = t.Field(i).Tag.Get("yaml")
	}
	return keys
}

// mayBeEmpty: "build:" with every line under it commented out is no mistake,
// "port:" without a number is one.
func mayBeEmpty(field string, t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Map:
		return true
	case reflect.Struct:
		return !strings.HasSuffix(field, "]")
	case reflect.Pointer:
		return t.Elem().Kind() == reflect.Struct
	}
	return false
}

func setString(into reflect.Value, value string) bool {
	if into.Kind() != reflect.String {
		return false
	}
	into.SetString(value)
	return true
}

func setInteger(into reflect.Value, value any) bool {
	number, err := strconv.ParseInt(fmt.Sprint(value), 10, 64)
	if err != nil || number > math.MaxInt32 || number < math.MinInt32 {
		return false
	}
	switch into.Kind() {
	case reflect.Int:
		into.SetInt(number)
	case reflect.Float64:
		into.SetFloat(float64(number))
	default:
		return false
	}
	return true
}

func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return expected(t.Elem())
	case reflect.Struct, reflect.Map:
		return "a mapping"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "a string"
}

func found(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + shown(node)
	}
	return "the string " + strconv.Quote(shown(node))
}

// retype is how the value is written so that it has the wanted type.
func retype(node ast.Node, want reflect.Type) string {
	text := shown(node)
	if want == reflect.TypeFor[config]() {
		return "begin the file with: version: 1"
	}
	scalar := !slices.Contains([]ast.NodeType{ast.MappingType, ast.MappingValueType, ast.SequenceType}, node.Type())
	switch {
	case !scalar:
		return ""
	case want.Kind() == reflect.String:
		return fmt.Sprintf("put it in quotes: %q", text)
	case want.Kind() == reflect.Slice && want.Elem().Kind() == reflect.String:
		return fmt.Sprintf("write [%s]", text)
	case want.Kind() == reflect.Int && isNumber(text), want.Kind() == reflect.Bool && (text == "true" || text == "false"):
		return "write " + text + " without quotes"
	case want.Kind() == reflect.Bool && slices.Contains([]string{"yes", "on", "1"}, text):
		return "write true"
	case want.Kind() == reflect.Bool && slices.Contains([]string{"no", "off", "0"}, text):
		return "write false"
	}
	return ""
}

func isNumber(text string) bool {
	_, err := strconv.ParseInt(text, 10, 32)
	return err == nil
}

func shown(node ast.Node) string {
	text := ""
	if t := node.GetToken(); t != nil {
		text = t.Value
	}
	if runes := []rune(text); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return text
}

func pairsOf(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func keyOf(pair *ast.MappingValueNode) string {
	if text, ok := pair.Key.(*ast.StringNode); ok {
		return text.Value
	}
	return shown(pair.Key)
}

func placeOfPair(pair *ast.MappingValueNode) place {
	switch pair.Value.(type) {
	case nil, *ast.NullNode, *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		return placeOf(pair.Key)
	}
	return placeOf(pair.Value)
}

func placeOf(node ast.Node) place {
	if pairs, ok := pairsOf(node); ok && len(pairs) > 0 {
		return placeOf(pairs[0].Key)
	}
	return placeOfToken(node.GetToken())
}

func placeOfToken(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{max(t.Position.Line, 1), max(t.Position.Column, 1)}
}

// join makes the path of a field. Keys that are no plain words are quoted, so
// that a path is always one line.
func join(parent, key string) string {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return !strconv.IsPrint(r) || r == ' ' }) {
		key = strconv.Quote(key)
	}
	if parent == "" {
		return key
	}
	return parent + "." + key
}
