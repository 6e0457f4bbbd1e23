package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(Options{})
		image := twoImages(t, 1, 100)
		root := descriptorOf(t, image)
		_, err := client.Push(t.Context(), Request{Repository: repository, Root: image, Tags: []Tag{{"1.2.3", true}}})
		require.NoError(t, err)
		for _, reference := range []string{":1.2.3", "@" + root.Digest.String(), ":other@" + root.Digest.String()} {
			found, err := client.Resolve(t.Context(), repository+reference)
			require.NoError(t, err, reference)
			assert.Equal(t, root, found, reference)
		}
		_, err = client.Resolve(t.Context(), repository+":none")
		assert.True(t, NotFound(err), "%v", err)
		assert.ErrorContains(t, err, "example.com/team/app:none")

		met := 0
		w.fault = func(out http.ResponseWriter, _ *http.Request) bool {
			met++
			return met < 3 && status(http.StatusBadGateway)(out, nil)
		}
		_, err = client.Resolve(t.Context(), repository+":1.2.3")
		assert.NoError(t, err, "the same policy")

		w.fault = func(out http.ResponseWriter, _ *http.Request) bool { return other(out) }
		_, err = client.Resolve(t.Context(), repository+"@"+root.Digest.String())
		isType[*DigestError](t, err)
	})
}

func TestReferences(t *testing.T) {
	digest := hashOf(nil).String()
	for text, want := range map[string]string{
		"example.org/app/b:1":                     "example.org/app/b 1",
		"example.org:5000/app:1":                  "example.org:5000/app 1",
		"example.org:5000/app@" + digest:          "example.org:5000/app " + digest,
		"example.org/app:tag@" + digest:           "example.org/app " + digest,
		"localhost/app:1":                         "names no registry",
		"example.org/app":                         "has no tag and no digest",
		"example.org:5000/app":                    "has no tag and no digest",
		"a:1":                                     "names no registry",
		"team/a:1":                                "names no registry",
		"example.org/app@sha256:12":               "no digest that can be checked",
		"example.org/app@sha512:" + digest[7:]:    "no digest that can be checked",
		"example.org/APP:1":                       "repository",
		"example.org/app:" + "b c":                "can only contain",
		"":                                        "names no registry",
		"example.org/app:1@" + digest + "@" + "x": "no digest",
	} {
		found, identifier, err := parseReference(text)
		if err != nil {
			assert.ErrorContains(t, err, want, text)
			continue
		}
		assert.Equal(t, want, fmt.Sprint(found, " ", identifier), text)
	}
}

func FuzzParseReference(f *testing.F) {
	f.Add("example.org:5000/app:b@sha256:" + strings.Repeat("0", 64))
	f.Fuzz(func(t *testing.T, text string) {
		found, identifier, err := parseReference(text)
		if err == nil {
			assert.NotEmpty(t, identifier)
			assert.NotEmpty(t, found.RegistryStr())
		}
	})
}

func TestBlob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(Options{})
		data := []byte("content")
		good := v1.Descriptor{Digest: hashOf(data), Size: int64(len(data))}
		short, mangled := true, "content, and more than there should be"
		w.fault = func(out http.ResponseWriter, _ *http.Request) bool {
			if short {
				short = false
				out.Header().Set("Content-Length", "7")
				fmt.Fprint(out, "con")
				panic(http.ErrAbortHandler)
			}
			fmt.Fprint(out, string(data))
			return true
		}
		found, err := client.Blob(t.Context(), repository, good)
		require.NoError(t, err)
		assert.Equal(t, data, found)

		w.fault = func(out http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(out, mangled); return true }
		_, err = client.Blob(t.Context(), repository, good)
		assert.ErrorContains(t, err, "larger than 7 bytes")
		mangled = "CONTENT"
		_, err = client.Blob(t.Context(), repository, good)
		isType[*DigestError](t, err)
	})
}
