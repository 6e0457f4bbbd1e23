package ship_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// commitTime is when everything in these tests was committed (module.git).
var commitTime = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// search looks for texts in all bytes, packed and unpacked, and for times later than one in the headers of what is packed.
type search struct {
	texts []string
	later time.Time // none, when it is zero
	found []string
}

// newDates looks for times that are later than the commit, and for the days of a time in any form. Whatever tells seconds would
// differ between two runs, and is found by comparing them.
func newDates(from, to time.Time) *search {
	d := &search{later: commitTime}
	for day := from.UTC().Truncate(24 * time.Hour); !day.After(to); day = day.Add(24 * time.Hour) {
		for _, form := range []string{"2006-01-02", "20060102", "2006/01/02", "01/02/2006", "02.01.2006", "2 Jan 2006", "02 Jan 2006", "Jan 2 2006", "Jan 2, 2006", "Jan _2 2006", "02/Jan/2006", "Mon Jan _2", "Mon, 02 Jan", "January 2, 2006"} {
			d.texts = append(d.texts, day.Format(form))
		}
	}
	return d
}

func (d *search) add(where, what string) { d.found = append(d.found, where+": "+what) }

// noTime is what a library for gzip that we use writes for "no time": the zero time.Time in the 32 bits of the format.
var noTime = time.Unix(int64(uint32(time.Time{}.Unix()&0xffffffff)), 0)

// header is a time that something packed is said to have.
func (d *search) header(where string, at time.Time) {
	if !d.later.IsZero() && at.After(d.later) && !at.Equal(noTime) {
		d.add(where, "has the time "+at.UTC().Format(time.RFC3339))
	}
}

// look looks at one piece of data and at what is packed in it.
func (d *search) look(where string, data []byte) {
	for _, text := range d.texts {
		if bytes.Contains(data, []byte(text)) {
			d.add(where, "says "+text)
		}
	}
	switch {
	case bytes.HasPrefix(data, []byte("\x1f\x8b")):
		d.gzip(where, data)
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		d.zip(where, data)
	case bytes.HasPrefix(data, []byte("!<arch>\n")):
		d.ar(where, data[8:])
	case bytes.HasPrefix(data, []byte("\xed\xab\xee\xdb")): // an rpm: headers, and then its files as one stream
		if at := bytes.Index(data, []byte("\x1f\x8b\x08")); at > 0 {
			d.gzip(where, data[at:])
		}
	case len(data) > 262 && string(data[257:262]) == "ustar":
		d.tar(where, data)
	case bytes.HasPrefix(data, []byte("070701")):
		d.cpio(where, data)
	}
}

func (d *search) gzip(where string, data []byte) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return // it only looks like one
	}
	d.header(where, z.ModTime)
	unpacked, err := io.ReadAll(z)
	if err != nil {
		d.add(where, err.Error())
	}
	d.look(where+"(unpacked)", unpacked)
}

func (d *search) zip(where string, data []byte) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		d.add(where, err.Error())
		return
	}
	for _, file := range z.File {
		d.header(where+"!"+file.Name, file.Modified)
		content, err := file.Open()
		if err == nil {
			var unpacked []byte
			unpacked, err = io.ReadAll(content)
			d.look(where+"!"+file.Name, unpacked)
		}
		if err != nil {
			d.add(where+"!"+file.Name, err.Error())
		}
	}
}

func (d *search) tar(where string, data []byte) {
	archive := tar.NewReader(bytes.NewReader(data))
	for {
		entry, err := archive.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			d.add(where, err.Error())
			return
		}
		name := where + "!" + entry.Name
		for _, at := range []time.Time{entry.ModTime, entry.AccessTime, entry.ChangeTime} {
			d.header(name, at)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			d.add(name, err.Error())
		}
		d.look(name, content)
	}
}

// ar is the format of a deb: headers of 60 bytes, with name, time … size.
func (d *search) ar(where string, data []byte) {
	for len(data) >= 60 {
		name := where + "!" + strings.TrimSpace(string(data[:16]))
		seconds, err := strconv.ParseInt(strings.TrimSpace(string(data[16:28])), 10, 64)
		size, sizeErr := strconv.Atoi(strings.TrimSpace(string(data[48:58])))
		if err != nil || sizeErr != nil || 60+size > len(data) {
			d.add(name, "is no ar archive")
			return
		}
		d.header(name, time.Unix(seconds, 0))
		d.look(name, data[60:60+size])
		data = data[min(len(data), 60+size+size%2):]
	}
}

// cpio is what an rpm holds: headers of 110 bytes of hexadecimal numbers, the sixth of which is the time.
func (d *search) cpio(where string, data []byte) {
	number := func(at int) int64 {
		n, _ := strconv.ParseInt(string(data[6+8*at:14+8*at]), 16, 64) // what is no number has no time
		return n
	}
	for len(data) >= 110 && string(data[:6]) == "070701" {
		d.header(where+" (cpio)", time.Unix(number(5), 0))
		pad := func(n int64) int64 { return (n + 3) &^ 3 }
		next := pad(110+number(11)) + pad(number(6))
		data = data[min(int64(len(data)), next):]
	}
}

// lookBelow looks at every file of a directory, but those below one that is named.
func (d *search) lookBelow(t *testing.T, dir, without string) (files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || without != "" && strings.HasPrefix(filepath.ToSlash(name), without) {
			return err
		}
		data, err := os.ReadFile(path)
		d.look(name, data)
		files++
		return err
	})
	require.NoError(t, err)
	return files
}

// The search finds what it is for: in a program, and in everything that is packed here.
func TestDatesAreFound(t *testing.T) {
	now := time.Now()
	tarOf := func(at time.Time, text string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(text)), ModTime: at, Format: tar.FormatPAX}))
		_, err := io.WriteString(w, text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.Bytes()
	}
	gzipOf := func(at time.Time, data []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.ModTime = at
		_, err := w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.Bytes()
	}
	zipOf := func(at time.Time, text string) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		file, err := w.CreateHeader(&zip.FileHeader{Name: "app.exe", Modified: at, Method: zip.Deflate})
		require.NoError(t, err)
		_, err = io.WriteString(file, text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.Bytes()
	}
	arOf := func(at time.Time, data []byte) []byte {
		return fmt.Appendf(nil, "!<arch>\n%-16s%-12d%-6d%-6d%-8o%-10d`\n%s", "data.tar.gz", at.Unix(), 0, 0, 0o100644, len(data), data)
	}
	cpioOf := func(at time.Time) []byte {
		return fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08Xapp\x00\x00\x00", 1, 0o100755, 0, 0, 1, at.Unix(), 0, 0, 0, 0, 0, 4, 0)
	}
	rpmOf := func(at time.Time) []byte {
		return append([]byte("\xed\xab\xee\xdb lead and headers "), gzipOf(time.Time{}, cpioOf(at))...)
	}
	built := "built on " + now.UTC().Format("2006-01-02")
	for name, c := range map[string]struct{ clean, dirty []byte }{
		"text":           {[]byte("built on 2026-02-03"), []byte(built)},
		"text in a tar":  {tarOf(commitTime, "x"), tarOf(commitTime, built)},
		"a tar":          {tarOf(commitTime, "x"), tarOf(now, "x")},
		"gzip":           {gzipOf(commitTime, nil), gzipOf(now, nil)},
		"a tar, gzipped": {gzipOf(time.Time{}, tarOf(commitTime, "x")), gzipOf(time.Time{}, tarOf(now, "x"))},
		"a zip":          {zipOf(commitTime, "x"), zipOf(now, "x")},
		"text in a zip":  {zipOf(commitTime, "x"), zipOf(commitTime, built)},
		"a deb":          {arOf(commitTime, nil), arOf(now, nil)},
		"a tar in a deb": {arOf(commitTime, gzipOf(time.Time{}, tarOf(commitTime, "x"))), arOf(commitTime, gzipOf(time.Time{}, tarOf(now, "x")))},
		"an rpm":         {rpmOf(commitTime), rpmOf(now)},
	} {
		clean, dirty := newDates(now, now), newDates(now, now)
		clean.look(name, c.clean)
		assert.Empty(t, clean.found, name)
		dirty.look(name, c.dirty)
		assert.NotEmpty(t, dirty.found, name)
	}
}
