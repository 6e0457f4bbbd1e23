package linuxpkg

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Packages are read back here with nothing of what wrote them.

// entry is a file of a package.
type entry struct {
	name, owner string
	mode        fs.FileMode
	date        int64
	content     string
	directory   bool
}

func (e entry) String() string {
	if e.directory {
		return fmt.Sprintf("%s %v %s %d", e.name, e.mode|fs.ModeDir, e.owner, e.date)
	}
	return fmt.Sprintf("%s %v %s %d, %d bytes", e.name, e.mode, e.owner, e.date, len(e.content))
}

func readTar(t *testing.T, r io.Reader) []entry {
	t.Helper()
	var entries []entry
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		require.NoError(t, err)
		content, err := io.ReadAll(tr)
		require.NoError(t, err)
		entries = append(entries, entry{name: h.Name, owner: h.Uname + ":" + h.Gname, mode: fs.FileMode(h.Mode), date: h.ModTime.Unix(),
			content: string(content), directory: h.Typeflag == tar.TypeDir})
	}
}

func unzip(t *testing.T, data []byte) io.Reader {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	return zr
}

// readDeb is an ar archive: a version, control files and the tree.
func readDeb(t *testing.T, data []byte) (control, tree []entry) {
	t.Helper()
	rest, ok := bytes.CutPrefix(data, []byte("!<arch>\n"))
	require.True(t, ok)
	members := map[string][]byte{}
	for len(rest) > 0 {
		fields := strings.Fields(string(rest[:60])) // name, date, owner, group, mode, size
		size, err := strconv.Atoi(fields[5])
		require.NoError(t, err)
		members[strings.TrimSuffix(fields[0], "/")+" "+fields[1]] = rest[60 : 60+size]
		rest = rest[60+size+size%2:]
	}
	at := fmt.Sprint(" ", date().Unix())
	require.Equal(t, "2.0\n", string(members["debian-binary"+at]))
	return readTar(t, unzip(t, members["control.tar.gz"+at])), readTar(t, unzip(t, members["data.tar.gz"+at]))
}

// readAPK is two gzip streams, one after the other: control files and the tree.
func readAPK(t *testing.T, data []byte) (control, tree []entry) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(data))
	zr, err := gzip.NewReader(r)
	require.NoError(t, err)
	zr.Multistream(false)
	first, err := io.ReadAll(zr)
	require.NoError(t, err)
	require.NoError(t, zr.Reset(r))
	second, err := io.ReadAll(zr)
	require.NoError(t, err)
	return readTar(t, io.MultiReader(bytes.NewReader(first), bytes.NewReader(make([]byte, 1024)))), readTar(t, bytes.NewReader(second))
}

// The tags of an rpm's header that are looked at.
const (
	rpmName, rpmVersion, rpmRelease, rpmSummary, rpmBuildTime, rpmBuildHost = 1000, 1001, 1002, 1004, 1006, 1007
	rpmLicense, rpmArchitecture, rpmPreIn, rpmPostIn, rpmPreUn, rpmPostUn   = 1014, 1022, 1023, 1024, 1025, 1026
	rpmModes, rpmTimes, rpmFlags, rpmOwners, rpmRequires                    = 1030, 1034, 1037, 1039, 1049
	rpmDirIndexes, rpmBaseNames, rpmDirNames                                = 1116, 1117, 1118
)

// readRPM is a lead, a signature, a header of tags, and a tree.
func readRPM(t *testing.T, data []byte) (header map[int][]any, tree []entry) {
	t.Helper()
	require.Equal(t, []byte{0xed, 0xab, 0xee, 0xdb}, data[:4])
	_, size := readHeader(t, data[96:])
	start := 96 + (size+7)/8*8
	header, size = readHeader(t, data[start:])
	contents := readCPIO(t, unzip(t, data[start+size:]))
	for i, base := range header[rpmBaseNames] {
		name := fmt.Sprint(header[rpmDirNames][header[rpmDirIndexes][i].(int)], base)
		mode := header[rpmModes][i].(int)
		e := entry{name: name, owner: fmt.Sprint(header[rpmOwners][i]), mode: fs.FileMode(mode & 0o7777), date: int64(header[rpmTimes][i].(int)),
			content: contents[name], directory: mode&0o170000 == 0o040000}
		if header[rpmFlags][i].(int) != 0 {
			e.name += fmt.Sprintf(" (flags %#x)", header[rpmFlags][i])
		}
		tree = append(tree, e)
	}
	return header, tree
}

func readHeader(t *testing.T, data []byte) (tags map[int][]any, size int) {
	t.Helper()
	require.Equal(t, []byte{0x8e, 0xad, 0xe8, 1}, data[:4])
	number := func(at int) int { return int(binary.BigEndian.Uint32(data[at:])) }
	entries, bytes := number(8), number(12)
	store := data[16+16*entries:]
	tags = map[int][]any{}
	for i := range entries {
		at := 16 + 16*i
		tags[number(at)] = readValues(number(at+4), store[number(at+8):], number(at+12))
	}
	return tags, 16 + 16*entries + bytes
}

func readValues(kind int, store []byte, count int) []any {
	var values []any
	for i := range count {
		switch kind {
		case 3:
			values = append(values, int(binary.BigEndian.Uint16(store[2*i:])))
		case 4:
			values = append(values, int(binary.BigEndian.Uint32(store[4*i:])))
		case 6, 8, 9:
			text, rest, _ := strings.Cut(string(store), "\x00")
			values, store = append(values, text), []byte(rest)
		}
	}
	return values
}

// readCPIO reads the "newc" format: fields of eight hexadecimal digits.
func readCPIO(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	data, err := io.ReadAll(r)
	require.NoError(t, err)
	contents := map[string]string{}
	for {
		require.Equal(t, "070701", string(data[:6]))
		field := func(n int) int {
			v, err := strconv.ParseInt(string(data[6+8*n:14+8*n]), 16, 64)
			require.NoError(t, err)
			return int(v)
		}
		size, length := field(6), field(11)
		name := strings.TrimSuffix(string(data[110:110+length]), "\x00")
		if name == "TRAILER!!!" {
			return contents
		}
		start := (110 + length + 3) / 4 * 4
		contents[name] = string(data[start : start+size])
		data = data[(start+size+3)/4*4:]
	}
}
