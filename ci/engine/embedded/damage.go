package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
)

const (
	sqliteFile  = "dagql-cache.db"
	boltMagic   = 0xED0CDAED // go.etcd.io/bbolt, internal/common
	boltPage    = 4096
	sqliteMagic = "SQLite format 3\x00" // sqlite.org/fileformat2.html
)

// damage is what can be seen of the engine's databases without opening them. The engine starts over some of this without a
// word; people should know why their builds take longer.
type damage struct {
	bolt   bool // the whole cache is lost: each of these names what others hold
	sqlite bool // only what the engine remembers of queries is lost
}

// lookForDamage reads the first bytes of each database in the engine's directory. One that is not there is not damaged.
func lookForDamage(root string) damage {
	var d damage
	for _, name := range []string{"cache.db", "worker/metadata_v2.db", "worker/containerdmeta.db", "worker/snapshots/metadata.db"} {
		d.bolt = d.bolt || !headed(filepath.Join(root, name), 2*boltPage, isBolt)
	}
	d.sqlite = !headed(filepath.Join(root, sqliteFile), len(sqliteMagic), func(head []byte) bool { return bytes.HasPrefix(head, []byte(sqliteMagic)) })
	return d
}

// headed tells whether a file is not there, or begins as it must.
func headed(path string, size int, well func(head []byte) bool) bool {
	file, err := os.Open(path)
	if err != nil {
		return true
	}
	defer file.Close()
	head := make([]byte, size)
	n, err := io.ReadFull(file, head)
	short := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	return well(head[:n]) || (err != nil && !short)
}

// isBolt: one of the two meta pages is enough.
func isBolt(head []byte) bool {
	const offset = 16 // of the meta data in its page
	for page := 0; page+offset+4 <= len(head); page += boltPage {
		if binary.NativeEndian.Uint32(head[page+offset:]) == boltMagic {
			return true
		}
	}
	return false
}

// dropSQLite removes the database that the engine can make anew, and what goes with it: beside a new one that is harmful.
func dropSQLite(root string) error {
	for _, end := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(filepath.Join(root, sqliteFile+end)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
