package front

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/proxy/settings"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestConfig(t *testing.T) {
	options := Options{Ports: []int{80, 443}, Plain: 80, Storage: "/var/lib/slipway/greeter-prod/proxy/certificates"}
	elsewhere := Options{Ports: []int{80, 8443}, Plain: 80, Storage: "/tmp", ACME: "https://acme.example.org/dir", Roots: []string{"/etc/acme.pem"}}
	domains := []string{"www.example.org"}
	for name, c := range map[string]struct {
		options  Options
		settings settings.Settings
	}{
		"off":   {Options{Ports: []int{80}, Plain: 80, Storage: options.Storage}, settings.Settings{}},
		"auto":  {options, settings.Settings{TLS: settings.Auto, Domains: domains}},
		"acme":  {elsewhere, settings.Settings{TLS: settings.Auto, Domains: domains}},
		"pem":   {options, settings.Settings{TLS: settings.Files, Cert: "-----BEGIN CERTIFICATE-----", Key: "-----BEGIN PRIVATE KEY-----", Domains: domains}},
		"files": {options, settings.Settings{TLS: settings.Files, Cert: "/etc/ssl/cert.pem", Key: "/etc/ssl/key.pem"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config(c.options, c.settings.Normal())
			require.NoError(t, err)
			var pretty bytes.Buffer
			require.NoError(t, json.Indent(&pretty, got, "", "  "))
			path := filepath.Join("testdata", name+".golden")
			if *update {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(path, pretty.Bytes(), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, string(want), pretty.String())
		})
	}
}

func TestStripForwarded(t *testing.T) {
	header := http.Header{"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Anything": {"x"}, "Forwarded": {"for=1.2.3.4"}, "X-Real-Ip": {"1.2.3.4"}, "Cookie": {"a=b"}}
	stripForwarded(header)
	assert.Equal(t, http.Header{"Cookie": {"a=b"}}, header)
}
