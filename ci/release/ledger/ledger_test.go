package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func entry(kind Kind, target, digest string) Entry {
	return Entry{Kind: kind, Target: target, Digest: digest, At: time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)}
}

func open(t *testing.T, path string) *Ledger {
	t.Helper()
	l, err := Open(path)
	require.NoError(t, err)
	return l
}

func TestLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reports", "ledger.jsonl")
	l := open(t, path)
	blob, tag := entry(Blob, "registry.example.org/greeter", "sha256:a"), entry(Tag, "registry.example.org/greeter:1.2.3", "sha256:b")
	assert.False(t, l.Has(blob))
	require.NoError(t, l.Record(blob))
	require.NoError(t, l.Record(tag))
	require.NoError(t, l.Record(tag), "once is enough")
	assert.True(t, l.Has(blob))
	assert.True(t, l.Has(Entry{Kind: Blob, Target: blob.Target, Digest: "sha256:a"}), "when does not matter")
	assert.False(t, l.Has(entry(Manifest, blob.Target, "sha256:a")))
	require.NoError(t, l.Close())

	l = open(t, path)
	assert.True(t, l.Has(tag))
	assert.Len(t, l.Entries(), 2)
	moved := tag
	moved.Digest, moved.Run, moved.Note = "sha256:c", "run-7", "forced"
	require.NoError(t, l.Record(moved))
	assert.False(t, l.Has(tag), "the tag is elsewhere now")
	require.NoError(t, l.Record(tag))
	assert.True(t, l.Has(tag), "and back again")
	require.NoError(t, l.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, `{"slipway-ledger":1}
{"kind":"blob","target":"registry.example.org/greeter","digest":"sha256:a","at":"2026-02-03T04:05:06Z"}
{"kind":"tag","target":"registry.example.org/greeter:1.2.3","digest":"sha256:b","at":"2026-02-03T04:05:06Z"}
{"kind":"tag","target":"registry.example.org/greeter:1.2.3","digest":"sha256:c","at":"2026-02-03T04:05:06Z","run":"run-7","note":"forced"}
{"kind":"tag","target":"registry.example.org/greeter:1.2.3","digest":"sha256:b","at":"2026-02-03T04:05:06Z"}
`, string(data))
}

func TestTimeIsNowUnlessSaid(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger"))
	defer l.Close()
	require.NoError(t, l.Record(Entry{Kind: Asset, Target: "x", Digest: "sha256:a"}))
	assert.WithinDuration(t, time.Now(), l.Entries()[0].At, 2*time.Second)
}

func TestSecondWriterIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path)
	_, err := Open(path)
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, l.Close())
	require.NoError(t, open(t, path).Close())
}

func TestManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			e := entry(Blob, fmt.Sprint("blob ", i%10), "sha256:a")
			assert.NoError(t, l.Record(e))
			assert.True(t, l.Has(e))
		})
	}
	all.Wait()
	require.NoError(t, l.Close())
	l = open(t, path)
	defer l.Close()
	assert.Len(t, l.Entries(), 10)
	assert.Zero(t, l.Damaged())
}

// Wherever the machine stopped while it wrote: what was recorded before is there, and what follows is read as well.
func TestTornAnywhere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger")
	l := open(t, path)
	require.NoError(t, l.Record(entry(Blob, "one", "sha256:a")))
	require.NoError(t, l.Record(entry(Blob, "two", "sha256:b")))
	require.NoError(t, l.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for length := 1; length < len(data); length++ {
		c, err := parse(data[:length])
		require.NoError(t, err)
		assert.Len(t, c.entries, max(bytes.Count(data[:length], []byte{'\n'})-1, 0), "%d bytes", length)
	}
	for _, left := range []string{string(data[:5]), "\x00\x00\x00", string(data[:40]), string(data[:40]) + "\x00\x00", string(data[:len(data)-1])} {
		torn := filepath.Join(dir, "torn")
		require.NoError(t, os.WriteFile(torn, []byte(left), 0o644))
		l := open(t, torn)
		require.NoError(t, l.Record(entry(Tag, "three", "sha256:c")))
		require.NoError(t, l.Close())
		l = open(t, torn)
		assert.True(t, l.Has(entry(Tag, "three", "sha256:c")))
		assert.Len(t, l.Entries(), max(strings.Count(left, "\n"), 1))
		assert.Zero(t, l.Damaged(), "nothing of the torn line stays")
		require.NoError(t, l.Close())
	}
}

func TestDamagedLinesArePassedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	good := `{"kind":"blob","target":"one","digest":"sha256:a","at":"2026-02-03T04:05:06Z"}`
	lines := []string{`{"slipway-ledger":1}`, "garbage", good, `{"kind":"blob"}`, "", `{"kind":"later","target":"two","digest":"sha256:b","at":"2026-02-03T04:05:06Z","more":true}`, strings.Repeat("x", maxLine+1)}
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	l := open(t, path)
	defer l.Close()
	assert.Equal(t, 4, l.Damaged())
	assert.Len(t, l.Entries(), 2, "kinds that are not known stay")
	assert.True(t, l.Has(entry(Blob, "one", "sha256:a")))
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	for content, want := range map[string]string{
		"{\"slipway-ledger\":2}\n":        "use a newer one",
		"{}\n":                            "not that of a ledger",
		"dear diary\n":                    "not that of a ledger",
		"dear diary":                      "it is no ledger",
		"{\"slipway-ledger\":\"one\"}\nx": "not that of a ledger",
	} {
		path := filepath.Join(t.TempDir(), "ledger")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		_, err := Open(path)
		require.ErrorContains(t, err, want)
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, content, string(data))
		_, err = Open(path)
		require.NotErrorIs(t, err, ErrInUse, "the lock was given back")
	}
}

func TestRecordRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path)
	defer l.Close()
	for want, e := range map[string]Entry{
		"no kind": {Target: "x", Digest: "y"}, "no target": {Kind: Tag, Digest: "y"}, "no digest": {Kind: Tag, Target: "x"},
		"its target is not one": {Kind: Tag, Target: "a\nb", Digest: "y"}, "its digest is not one": {Kind: Tag, Target: "x", Digest: strings.Repeat("y", 5000)},
		"note is too long": {Kind: Tag, Target: "x", Digest: "y", Note: strings.Repeat("y", 5000)},
	} {
		require.ErrorContains(t, l.Record(e), want)
	}
	assert.Empty(t, l.Entries())
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, int64(len("{\"slipway-ledger\":1}\n")), info.Size())
}

// A write that fails leaves no half line behind.
func TestFailedWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := open(t, path)
	readable, err := os.Open(path)
	require.NoError(t, err)
	writable := l.file
	l.file = readable
	require.Error(t, l.Record(entry(Blob, "one", "sha256:a")))
	assert.False(t, l.Has(entry(Blob, "one", "sha256:a")), "what is not on the disk does not count")
	require.NoError(t, writable.Close())
	require.NoError(t, l.Close())
	l = open(t, path)
	defer l.Close()
	assert.Empty(t, l.Entries())
	assert.Zero(t, l.Damaged())
}

// FuzzParse: no content makes the reader fail badly, what it keeps can be written and read again, and it keeps whole lines only.
func FuzzParse(f *testing.F) {
	f.Add([]byte("{\"slipway-ledger\":1}\n{\"kind\":\"blob\",\"target\":\"one\",\"digest\":\"sha256:a\",\"at\":\"2026-02-03T04:05:06Z\"}\n{\"ki"))
	f.Add([]byte("{\"slipway-ledger\":1}\n\x00\x00"))
	f.Add([]byte("{\"slipway-"))
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse(data)
		if err != nil {
			return
		}
		assert.True(t, c.whole == 0 || data[c.whole-1] == '\n')
		again := []byte("{\"slipway-ledger\":1}\n")
		for _, e := range c.entries {
			line, err := json.Marshal(e)
			require.NoError(t, err)
			again = append(append(again, line...), '\n')
		}
		second, err := parse(append(again, data[c.whole:]...))
		require.NoError(t, err)
		assert.Equal(t, len(c.entries), len(second.entries))
		assert.Zero(t, second.damaged)
	})
}
