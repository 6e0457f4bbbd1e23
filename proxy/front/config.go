package front

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/slipway-ci/slipway/proxy/settings"
)

const (
	headerWithin = 10 * time.Second
	// idleClient is longer than the 600 s for which the load balancers of clouds keep a connection: who closes first must not be us.
	idleClient = 620 * time.Second
	maxHeaders = 32 << 10
	// stream is how long a WebSocket may outlive a change of domains or certificates.
	stream = 24 * time.Hour
)

// Options are what does not change while a proxy runs.
type Options struct {
	Ports   []int  // of the sockets, in order
	Plain   int    // the port that speaks plain HTTP while the others speak TLS: it redirects, and answers the ACME authority
	Storage string // directory for certificates
	ACME    string // directory URL of the ACME authority; "" for Let's Encrypt
	Roots   []string
}

// quiet are parts of Caddy that do not log: one would write what users ask for into the journal, where the instances' own logs and
// the counters tell more; the other warns that there is no admin endpoint.
var quiet = []string{"http.log.error", "admin"}

// object is JSON in the making.
type object = map[string]any

// config is Caddy's configuration. The same settings give the same bytes.
func config(o Options, s settings.Settings) ([]byte, error) {
	servers := object{}
	for i, port := range o.Ports {
		tls := s.TLS != settings.Off && port != o.Plain
		name := "socket" + strconv.Itoa(i)
		servers[name] = server(o, s, i, tls)
	}
	apps := object{"http": object{"servers": servers}, "tls": tlsApp(o, s)}
	data, err := json.Marshal(object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"level": "WARN", "exclude": quiet}}},
		"storage": object{"module": "file_system", "root": o.Storage},
		"apps":    apps,
	})
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return data, nil
}

func server(o Options, s settings.Settings, socket int, tls bool) object {
	server := object{
		"listen":              []string{Network + "/" + strconv.Itoa(socket)},
		"protocols":           []string{"h1"},
		"read_header_timeout": headerWithin,
		"idle_timeout":        idleClient,
		"max_header_bytes":    maxHeaders,
		"automatic_https":     object{"disable": true}, // it is said below, so that no port is guessed
		"routes":              routes(o, s, tls),
	}
	if tls {
		server["protocols"] = []string{"h1", "h2"}
		server["tls_connection_policies"] = []object{{}}
	}
	return server
}

// routes: everything goes to the instances, but what comes in the clear while there is TLS.
func routes(o Options, s settings.Settings, tls bool) []object {
	proxy := object{"handle": []object{{"handler": "slipway"}, reverseProxy()}}
	if tls || s.TLS == settings.Off {
		return []object{proxy}
	}
	here := []string{"127.0.0.0/8", "::1/128"}
	redirect := object{"handler": "static_response", "status_code": 308, "headers": object{"Location": []string{"https://{http.request.host}" + securePort(o) + "{http.request.uri}"}}}
	refuse := object{"handler": "static_response", "status_code": 421, "body": "this name is not served here\n"}
	list := []object{}
	if len(s.Domains) > 0 {
		list = append(list, object{"match": []object{{"host": s.Domains}}, "handle": []object{redirect}, "terminal": true})
	}
	return append(list, object{"match": []object{{"not": []object{{"remote_ip": object{"ranges": here}}}}}, "handle": []object{refuse}, "terminal": true}, proxy)
}

// securePort is what stands behind the name where HTTPS is not on its own port.
func securePort(o Options) string {
	for _, port := range o.Ports {
		if port != o.Plain && port != 443 {
			return ":" + strconv.Itoa(port)
		}
	}
	return ""
}

// reverseProxy tries once more, with another instance, what was not sent, or may be sent twice.
func reverseProxy() object {
	return object{
		"handler":            "reverse_proxy",
		"dynamic_upstreams":  object{"source": "slipway"},
		"transport":          object{"protocol": "slipway"},
		"load_balancing":     object{"selection_policy": object{"policy": "first"}, "retries": 1, "retry_match": []object{{"method": []string{"GET", "HEAD", "OPTIONS"}}}},
		"stream_close_delay": stream,
	}
}

func tlsApp(o Options, s settings.Settings) object {
	switch {
	case s.TLS == settings.Files && settings.IsPEM(s.Cert):
		return object{"certificates": object{"load_pem": []object{{"certificate": s.Cert, "key": s.Key}}}}
	case s.TLS == settings.Files:
		return object{"certificates": object{"load_files": []object{{"certificate": s.Cert, "key": s.Key}}}}
	case s.TLS == settings.Auto:
		issuer := object{"module": "acme"}
		if o.ACME != "" {
			issuer["ca"] = o.ACME
		}
		if len(o.Roots) > 0 {
			issuer["trusted_roots_pem_files"] = o.Roots
		}
		return object{
			"certificates": object{"automate": s.Domains},
			"automation":   object{"policies": []object{{"subjects": s.Domains, "issuers": []object{issuer}}}},
		}
	}
	return object{}
}
