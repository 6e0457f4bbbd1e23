package project

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// Schema is the JSON Schema (draft 2020-12) of slipway.yaml, for editors. It
// is made of the types and rules that the file is read with, so it refuses
// nothing that [Load] accepts; what only the sources can tell, such as whether
// a directory is there, it does not know.
func Schema() []byte {
	top := schemaOf(reflect.TypeFor[config](), "")
	top.Schema = "https://json-schema.org/draft/2020-12/schema"
	top.Title = "slipway.yaml"
	top.Description = "What Slipway ships and how. Everything that is left out is inferred."
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(top); err != nil {
		panic(fmt.Sprintf("the schema is made of our own types: %v", err)) // a test makes it
	}
	return out.Bytes()
}

// schema is one schema, with the keywords in the order in which people read.
type schema struct {
	Schema        string     `json:"$schema,omitempty"`
	Title         string     `json:"title,omitempty"`
	Description   string     `json:"description,omitempty"`
	Type          any        `json:"type,omitempty"`
	Const         any        `json:"const,omitempty"`
	Enum          []string   `json:"enum,omitempty"`
	Pattern       string     `json:"pattern,omitempty"`
	Not           *schema    `json:"not,omitempty"`
	Format        string     `json:"format,omitempty"`
	MaxLength     int        `json:"maxLength,omitempty"`
	Minimum       *int       `json:"minimum,omitempty"`
	Maximum       *int       `json:"maximum,omitempty"`
	Required      []string   `json:"required,omitempty"`
	Properties    properties `json:"properties,omitempty"`
	PropertyNames *schema    `json:"propertyNames,omitempty"`
	Additional    any        `json:"additionalProperties,omitempty"`
	MinItems      int        `json:"minItems,omitempty"`
	Items         *schema    `json:"items,omitempty"`
}

// properties keep the order of the Go type.
type properties []property

type property struct {
	name string
	schema
}

// MarshalJSON writes an object whose keys keep their order.
func (p properties) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, each := range p {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%q:", each.name)
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(each.schema); err != nil {
			return nil, err
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// schemaOf describes a type; the tags are those of the field that has it.
func schemaOf(t reflect.Type, tags reflect.StructTag) schema {
	kept := ruleOf(tags.Get("rule"))
	s := schema{Description: tags.Get("doc")}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), tags)
	case reflect.Struct:
		s.Type, s.Additional = "object", false
		for i := range t.NumField() {
			field := t.Field(i)
			name := field.Tag.Get("yaml")
			s.Properties = append(s.Properties, property{name, nullable(field, schemaOf(field.Type, field.Tag))})
			if field.Tag.Get("need") == "yes" {
				s.Required = append(s.Required, name)
			}
		}
	case reflect.Slice:
		items := schemaOf(t.Elem(), reflect.StructTag(`rule:"`+tags.Get("rule")+`"`))
		s.Type, s.Items = "array", &items
		if tags.Get("some") == "yes" {
			s.MinItems = 1
		}
	case reflect.Map:
		values := schemaOf(t.Elem(), reflect.StructTag(`rule:"`+tags.Get("rule")+`"`))
		s.Type, s.Additional = "object", values
		if keys := ruleOf(tags.Get("keys")); keys.pattern != "" {
			s.PropertyNames = &schema{Pattern: keys.pattern}
			if len(keys.not) > 0 {
				s.PropertyNames.Not = &schema{Enum: keys.not}
			}
		}
	default:
		s.keep(t.Kind(), kept)
	}
	return s
}

// nullable lets the value be left empty where reading it does: "build:" with
// every line under it commented out is no mistake.
func nullable(field reflect.StructField, s schema) schema {
	if mayBeEmpty(field.Tag.Get("yaml"), field.Type) {
		s.Type = []any{s.Type, "null"}
	}
	return s
}

// keep puts a rule into the words of JSON Schema.
func (s *schema) keep(kind reflect.Kind, r rule) {
	switch kind {
	case reflect.Bool:
		s.Type = "boolean"
	case reflect.Int:
		s.Type = "integer"
	case reflect.Float64:
		s.Type = "number"
	default:
		s.Type = "string"
	}
	s.Pattern, s.Enum, s.Format, s.MaxLength = r.pattern, r.values, r.format, r.length
	switch {
	case r.min == r.max && r.max != 0:
		s.Const = r.max
	case r.min != r.max:
		s.Minimum, s.Maximum = &r.min, &r.max
	}
}
