package ship

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/pipelines/artifact"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func text(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, entry := range list {
		names = append(names, entry.Name())
	}
	return names
}

func TestOpenDistMarksWhatItMakes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "dist")
	d, err := openDist(dir, "1")
	require.NoError(t, err)
	assert.Equal(t, []string{".slipway", ".staging-1", "reports"}, entries(t, dir))
	assert.Equal(t, markerText, text(t, filepath.Join(dir, ".slipway")))
	d.close()
	assert.Equal(t, []string{".slipway", "reports"}, entries(t, dir))
	again, err := openDist(dir, "2")
	require.NoError(t, err, "the lock is given up")
	again.close()
}

func TestOpenDistRefusesWhatIsNotOurs(t *testing.T) {
	cases := map[string]func(t *testing.T, dir string){
		"a file":               func(t *testing.T, dir string) { put(t, dir, "precious") },
		"somebody's directory": func(t *testing.T, dir string) { put(t, filepath.Join(dir, "precious"), "precious") },
		"a link": func(t *testing.T, dir string) {
			put(t, filepath.Join(dir+".real", ".slipway"), markerText)
			require.NoError(t, os.Symlink(dir+".real", dir))
		},
		"a marker that is a link": func(t *testing.T, dir string) {
			put(t, dir+".precious", "precious")
			require.NoError(t, os.Mkdir(dir, 0o755))
			require.NoError(t, os.Symlink(dir+".precious", filepath.Join(dir, ".slipway")))
		},
		"reports that are a link": func(t *testing.T, dir string) {
			put(t, filepath.Join(dir, ".slipway"), markerText)
			require.NoError(t, os.Mkdir(dir+".elsewhere", 0o755))
			require.NoError(t, os.Symlink(dir+".elsewhere", filepath.Join(dir, "reports")))
		},
	}
	for name, make := range cases {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			dir := filepath.Join(base, "dist")
			make(t, dir)
			before := tree(t, base)
			_, err := openDist(dir, "1")
			var usage *UsageError
			require.ErrorAs(t, err, &usage)
			assert.ErrorContains(t, err, "--dist", "what to do next")
			assert.Equal(t, before, tree(t, base), "nothing is touched")
		})
	}
}

// tree is every file below dir with its content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			files[path] = entry.Type().String()
			return err
		}
		files[path] = text(t, path)
		return nil
	}))
	return files
}

func TestOpenDistTakesAnEmptyDirectory(t *testing.T) {
	d, err := openDist(t.TempDir(), "1")
	require.NoError(t, err)
	d.close()
}

func TestOpenDistIsForOneRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dist")
	first, err := openDist(dir, "1")
	require.NoError(t, err)
	put(t, filepath.Join(first.staging, "work"), "half")
	_, err = openDist(dir, "2")
	var usage *UsageError
	require.ErrorAs(t, err, &usage)
	assert.ErrorContains(t, err, "in use by another run")
	assert.FileExists(t, filepath.Join(first.staging, "work"), "the other run goes on")
	first.close()
	second, err := openDist(dir, "2")
	require.NoError(t, err)
	second.close()
}

// A run that was killed leaves its staging directory, and the temporary file of a report.
func TestOpenDistRemovesWhatAKilledRunLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dist")
	put(t, filepath.Join(dir, ".slipway"), markerText)
	put(t, filepath.Join(dir, ".staging-old", "linux_amd64", "app"), "half")
	put(t, filepath.Join(dir, "reports", ".staging-123"), "half")
	put(t, filepath.Join(dir, "reports", "junit.xml"), "whole")
	put(t, filepath.Join(dir, "linux_amd64", "app"), "whole")
	d, err := openDist(dir, "new")
	require.NoError(t, err)
	defer d.close()
	assert.Equal(t, []string{".slipway", ".staging-new", "linux_amd64", "reports"}, entries(t, dir))
	assert.Equal(t, []string{"junit.xml"}, entries(t, filepath.Join(dir, "reports")))
}

func TestPublish(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dist")
	put(t, filepath.Join(dir, ".slipway"), markerText)
	for _, name := range []string{"linux_amd64/old", "linux_arm64/app", "app_1.tar.gz", "image/app/index.json", "checksums.txt", "artifacts.json", "reports/junit.xml"} {
		put(t, filepath.Join(dir, name), "old")
	}
	d, err := openDist(dir, "1")
	require.NoError(t, err)
	for _, name := range []string{"linux_amd64/app", "app_2.tar.gz", "checksums.txt", "metadata.json"} {
		put(t, filepath.Join(d.staging, name), "new")
	}
	require.NoError(t, d.deliver())
	d.close()
	assert.Equal(t, []string{".slipway", "app_2.tar.gz", "checksums.txt", "linux_amd64", "metadata.json", "reports"}, entries(t, dir), "what was not made again is gone")
	assert.Equal(t, []string{"app"}, entries(t, filepath.Join(dir, "linux_amd64")), "a directory is replaced as a whole")
	assert.Equal(t, "new", text(t, filepath.Join(dir, "checksums.txt")))
	assert.Equal(t, "old", text(t, filepath.Join(dir, "reports", "junit.xml")))
}

// While the lists are there, what they name is there: they go first and come last.
func TestPublishThatIsCutShortHasNoLists(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dist")
	d, err := openDist(dir, "1")
	require.NoError(t, err)
	defer d.close()
	for _, name := range []string{"checksums.txt", "artifacts.json", "metadata.json"} {
		put(t, filepath.Join(dir, name), "old")
		put(t, filepath.Join(d.staging, name), "new")
	}
	put(t, filepath.Join(dir, "zz"), "a file in the place of a directory")
	put(t, filepath.Join(d.staging, "zz", "app"), "new")
	require.Error(t, d.deliver())
	for _, name := range []string{"checksums.txt", "artifacts.json", "metadata.json"} {
		assert.NoFileExists(t, filepath.Join(dir, name))
	}
}

func TestWriteReportIsWholeOrNotThere(t *testing.T) {
	d, err := openDist(filepath.Join(t.TempDir(), "dist"), "1")
	require.NoError(t, err)
	defer d.close()
	broken := errors.New("broken")
	err = d.writeReport("junit.xml", func(f *os.File) error {
		fmt.Fprint(f, "half")
		return broken
	})
	require.ErrorIs(t, err, broken)
	assert.Empty(t, entries(t, filepath.Join(d.dir, "reports")))
	require.NoError(t, d.writeReport("junit.xml", func(f *os.File) error { _, err := f.WriteString("whole"); return err }))
	info, err := os.Stat(filepath.Join(d.dir, "reports", "junit.xml"))
	require.NoError(t, err)
	assert.EqualValues(t, 0o644, info.Mode().Perm(), "others may read it")
}

func TestFileDigestAndDirSize(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a"), "hello\n")
	put(t, filepath.Join(dir, "b", "c"), "12")
	digest, size, err := artifact.Digest(filepath.Join(dir, "a"))
	require.NoError(t, err)
	assert.Equal(t, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", digest)
	assert.EqualValues(t, 6, size)
	all, err := dirSize(dir)
	require.NoError(t, err)
	assert.EqualValues(t, 8, all)
	_, _, err = artifact.Digest(filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = dirSize(filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	names := entries(t, dir)
	assert.True(t, sort.StringsAreSorted(names))
}
