package runtimebase

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

const (
	zonesDir = "/usr/share/zoneinfo"
	// maxZone is many times what the longest zone takes.
	maxZone = 1 << 20
)

// Zones gives the files of /usr/share/zoneinfo that are in the Go toolchain's
// lib/time/zoneinfo.zip.
func Zones(archive io.ReaderAt, size int64) ([]Entry, error) {
	reader, err := zip.NewReader(archive, size)
	if err != nil {
		return nil, fmt.Errorf("read time zones: %w", err)
	}
	var entries []Entry
	for _, file := range reader.File {
		if strings.HasSuffix(file.Name, "/") {
			continue
		}
		data, err := readZone(file)
		if err != nil {
			return nil, fmt.Errorf("read time zone %q: %w", file.Name, err)
		}
		entries = append(entries, Entry{Path: zonesDir + "/" + file.Name, Mode: fileMode, Data: data})
	}
	if len(entries) == 0 {
		return nil, errors.New("read time zones: the archive has none")
	}
	return entries, nil
}

func readZone(file *zip.File) (data []byte, err error) {
	if !fs.ValidPath(file.Name) || strings.Contains(file.Name, `\`) {
		return nil, errors.New("the name leads out of the archive")
	}
	opened, err := file.Open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	data, err = io.ReadAll(io.LimitReader(opened, maxZone+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxZone {
		return nil, errors.New("is too large for a time zone")
	}
	if !strings.HasPrefix(string(data), "TZif") {
		return nil, errors.New("is no time zone")
	}
	return data, nil
}
