package sbom

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the documents say does not depend on the clock: it is in the year 2000, then in 2031.
func TestTwoClocks(t *testing.T) {
	image := imageOf(t, "amd64", debian(t))
	index := indexOf(t, image)
	documents := func() (all []string) {
		for _, make := range []func() ([]byte, error){
			func() ([]byte, error) { return Binary(subject(), info()) },
			func() ([]byte, error) { return Image(subject(), image) },
			func() ([]byte, error) { return Index(subject(), index) },
		} {
			document, err := make()
			require.NoError(t, err)
			all = append(all, string(document))
		}
		return all
	}
	now := documents()
	synctest.Test(t, func(t *testing.T) {
		require.Equal(t, 2000, time.Now().UTC().Year())
		assert.Equal(t, now, documents())
		time.Sleep(31 * 366 * 24 * time.Hour)
		require.Equal(t, 2031, time.Now().UTC().Year())
		assert.Equal(t, now, documents())
	})
}
