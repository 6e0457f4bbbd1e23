package embedded

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLookForDamage(t *testing.T) {
	bolt := make([]byte, 4*boltPage)
	binary.NativeEndian.PutUint32(bolt[16:], boltMagic)
	binary.NativeEndian.PutUint32(bolt[boltPage+16:], boltMagic)
	half := append(make([]byte, boltPage), bolt[boltPage:]...)
	cases := map[string]struct {
		file    string
		content []byte
		want    damage
	}{
		"nothing is there":   {},
		"a database":         {"cache.db", bolt, damage{}},
		"one page is enough": {"cache.db", half, damage{}},
		"zeroed":             {"worker/metadata_v2.db", make([]byte, 4*boltPage), damage{bolt: true}},
		"empty":              {"worker/snapshots/metadata.db", []byte{}, damage{bolt: true}},
		"a few bytes":        {"cache.db", []byte("x"), damage{bolt: true}},
		"queries":            {sqliteFile, []byte(sqliteMagic + "and more"), damage{}},
		"queries, zeroed":    {sqliteFile, make([]byte, 4096), damage{sqlite: true}},
		"queries, empty":     {sqliteFile, []byte{}, damage{sqlite: true}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if c.file != "" {
				path := filepath.Join(root, c.file)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, c.content, 0o600))
			}
			assert.Equal(t, c.want, lookForDamage(root))
		})
	}
}

func TestDropSQLite(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{sqliteFile, sqliteFile + "-wal", "cache.db"} {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), nil, 0o600))
	}
	require.NoError(t, dropSQLite(root))
	assert.NoFileExists(t, filepath.Join(root, sqliteFile+"-wal"))
	assert.FileExists(t, filepath.Join(root, "cache.db"))
	require.NoError(t, dropSQLite(root), "a second time is fine")
}
