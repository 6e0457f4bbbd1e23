package oci

import (
	"maps"
	"path"
	"strings"
	"time"
)

// Options says what a canonical image has beside its files. A field with its
// zero value keeps what the image came with.
type Options struct {
	// Created is the image's time, that of the commit. Times before 1970 count as 1970.
	Created time.Time
	// ModTime is the time of every file; Created when zero. A time that does not
	// change with each commit keeps the layers of the base the same blobs.
	ModTime time.Time

	// Annotations belong to the index.
	Annotations map[string]string
	// Labels replace all labels that came; nil keeps those.
	Labels map[string]string

	User         string
	WorkingDir   string
	StopSignal   string
	Env          []string // NAME=value, in this order
	Entrypoint   []string
	Cmd          []string
	ExposedPorts []string // 8080/tcp

	// Attributes sets owner and mode of single files and directories, by their
	// absolute path. Paths that are not in the image are ignored. A copy from a
	// build context loses owners: this is where they come back.
	Attributes map[string]Attributes
}

// Attributes are the owner and the mode of one file or directory.
type Attributes struct {
	UID, GID int
	// Mode has Unix's twelve bits: 0o1777 for /tmp. It is not for symbolic links.
	Mode int64
}

// settled returns the options with all defaults filled in.
func (o Options) settled() Options {
	o.Created = settledTime(o.Created)
	if o.ModTime.IsZero() {
		o.ModTime = o.Created
	}
	o.ModTime = settledTime(o.ModTime)
	attributes := make(map[string]Attributes, len(o.Attributes))
	for name, value := range o.Attributes {
		attributes[strings.TrimPrefix(path.Clean("/"+name), "/")] = value
	}
	o.Attributes = attributes
	o.Labels = maps.Clone(o.Labels)
	return o
}

func settledTime(t time.Time) time.Time {
	if t.Unix() < 0 {
		return time.Unix(0, 0).UTC()
	}
	return t.UTC().Truncate(time.Second)
}
