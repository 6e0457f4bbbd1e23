package forge

import (
	"net/http"
	"testing"
	"testing/quick"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecide(t *testing.T) {
	want := File{Size: 3, Digest: "sha256:a"}
	for name, c := range map[string]struct {
		have  *Asset
		draft bool
		want  action
	}{
		"not there":                  {nil, true, send},
		"not there, published":       {nil, false, send},
		"there":                      {&Asset{Size: 3, Digest: "sha256:a", Complete: true}, false, skip},
		"half there":                 {&Asset{Size: 3, Digest: "sha256:a"}, false, replace},
		"another size":               {&Asset{Size: 4, Complete: true}, true, replace},
		"another digest":             {&Asset{Size: 3, Digest: "sha256:b", Complete: true}, true, replace},
		"another digest, published":  {&Asset{Size: 3, Digest: "sha256:b", Complete: true}, false, refuse},
		"another size, published":    {&Asset{Size: 4, Complete: true}, false, refuse},
		"the same size, no digest":   {&Asset{Size: 3, Complete: true}, true, compare},
		"no digest, published":       {&Asset{Size: 3, Complete: true}, false, compare},
		"half there, and in a draft": {&Asset{}, true, replace},
	} {
		assert.Equal(t, c.want, decide(want, c.have, c.draft), name)
	}
}

func TestAssetName(t *testing.T) {
	for name, want := range map[string]string{
		"greeter_1.2.3_linux_amd64.deb": "greeter_1.2.3_linux_amd64.deb", "greeter_1.2.3+b.7_linux.tar.gz": "greeter_1.2.3.b.7_linux.tar.gz", "a  b~c": "a.b.c", ".x.": "x", "é": "",
	} {
		assert.Equal(t, want, AssetName(name))
	}
}

func TestAddresses(t *testing.T) {
	for api, want := range map[string]string{
		"https://api.github.com":               "https://uploads.github.com/",
		"https://api.github.com/":              "https://uploads.github.com/",
		"https://api.example.ghe.com":          "https://uploads.example.ghe.com/",
		"https://github.example.org/api/v3":    "https://github.example.org/api/uploads/",
		"http://127.0.0.1:8080/api/v3/":        "http://127.0.0.1:8080/api/uploads/",
		"http://localhost/api/v3":              "http://localhost/api/uploads/",
		"https://proxy.example.org/gh/api/v3/": "https://proxy.example.org/gh/api/uploads/",
	} {
		_, uploads, err := addresses(api)
		require.NoError(t, err, api)
		assert.Equal(t, want, uploads.String(), api)
	}
}

func TestAfter(t *testing.T) {
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for name, c := range map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"nothing":        {http.Header{}, 0},
		"seconds":        {http.Header{"Retry-After": {" 7 "}}, 7 * time.Second},
		"a date":         {http.Header{"Retry-After": {"Tue, 03 Feb 2026 04:06:06 GMT"}}, time.Minute},
		"a past date":    {http.Header{"Retry-After": {"Tue, 03 Feb 2025 04:06:06 GMT"}}, 0},
		"nonsense":       {http.Header{"Retry-After": {"soon"}}, 0},
		"negative":       {http.Header{"Retry-After": {"-7"}}, 0},
		"a limit":        {http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1770091536"}}, 30 * time.Second},
		"no limit yet":   {http.Header{"X-Ratelimit-Remaining": {"1"}, "X-Ratelimit-Reset": {"1770091536"}}, 0},
		"an odd limit":   {http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"x"}}, 0},
		"a limit's past": {http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1"}}, 0},
	} {
		assert.Equal(t, c.want, after(&http.Response{Header: c.header}, now), name)
	}
}

func TestWait(t *testing.T) {
	o := Options{}.withDefaults()
	require.NoError(t, quick.Check(func(n uint8, asked uint32) bool {
		wait := o.wait(int(n)+1, time.Duration(asked)*time.Millisecond)
		return wait >= min(time.Duration(asked)*time.Millisecond, o.MaxRetryAfter) && wait <= o.MaxRetryAfter+o.MaxBackoff
	}, nil))
}
