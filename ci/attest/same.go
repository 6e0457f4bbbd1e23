package attest

import (
	"bytes"
	"encoding/json"
	"slices"
)

// volatile are the places of a predicate that tell about the run: two runs that
// say the same differ in them.
var volatile = map[string][][]string{
	PredicateProvenance: {{"runDetails", "metadata"}},
	PredicateVulns:      {{"metadata"}, {"invocation", "event_id"}},
}

// Same tells whether two statements say the same about the same subjects. When,
// and in which run, is left out, and so is the form: spaces, the order of keys.
// Whoever finds Same in a registry need not sign again.
func Same(a, b Statement) bool {
	if a.Type != b.Type || !slices.Equal(digests(a), digests(b)) {
		return false
	}
	first, ok := said(a)
	second, alsoOK := said(b)
	return ok && alsoOK && bytes.Equal(first, second)
}

// said is a predicate without what tells about the run, in one form. Numbers
// stay as they are written.
func said(s Statement) ([]byte, bool) {
	if len(s.Predicate) == 0 {
		return nil, true
	}
	decoder := json.NewDecoder(bytes.NewReader(s.Predicate))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return nil, false
	}
	for _, place := range volatile[s.Type] {
		remove(value, place)
	}
	written, err := encode(value)
	return written, err == nil
}

// remove deletes what is at a place, if it is there.
func remove(value any, place []string) {
	object, ok := value.(map[string]any)
	if !ok {
		return
	}
	if len(place) == 1 {
		delete(object, place[0])
		return
	}
	remove(object[place[0]], place[1:])
}

// digests are the subjects without their names, which are for people.
func digests(s Statement) []string {
	list := make([]string, len(s.Subjects))
	for i, subject := range s.Subjects {
		list[i] = subject.Digest
	}
	slices.Sort(list)
	return slices.Compact(list)
}
