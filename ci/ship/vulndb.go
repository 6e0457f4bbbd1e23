package ship

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/pipelines"
)

// vulnDBPatience is how long the vulnerability database may take to say its version.
const vulnDBPatience = 3 * time.Second

// defaultVulnDB is govulncheck's own default.
const defaultVulnDB = "https://vuln.go.dev"

// vulnDBVersion is the file of a vulnerability database that says how new it is.
const vulnDBVersion = "index/db.json"

// vulnDB finds the vulnerability database and asks it for its version: a web address, or file:// with the directory of a mirror.
func vulnDB(ctx context.Context, getenv func(string) string) pipelines.VulnDB {
	db := pipelines.VulnDB{URL: strings.TrimRight(cmp.Or(getenv("GOVULNDB"), defaultVulnDB), "/")}
	ctx, cancel := context.WithTimeout(ctx, vulnDBPatience)
	defer cancel()
	if err := locate(&db); err != nil {
		return pipelines.VulnDB{Why: err.Error()} // an address that is none may be anything: it is not repeated
	}
	version, err := readVersion(ctx, db)
	if err != nil {
		db.Why = err.Error()
		return db
	}
	defer version.Close()
	var index struct{ Modified string }
	if err := json.NewDecoder(io.LimitReader(version, 1<<20)).Decode(&index); err != nil || index.Modified == "" {
		db.Why = "the vulnerability database does not say how new it is, in " + vulnDBVersion
		return db
	}
	db.Modified = index.Modified
	return db
}

// locate says where on this machine the database is, if it is here. A login is refused: it would show in the arguments of
// govulncheck, which takes it in no other way.
func locate(db *pipelines.VulnDB) error {
	address, err := url.Parse(db.URL)
	switch {
	case err != nil:
		return errors.New("GOVULNDB is not an address")
	case address.User != nil:
		return errors.New("GOVULNDB has a user or a password in it, which all could read: name a mirror that asks for none")
	case address.Scheme == "file" && filepath.IsAbs(address.Path):
		db.Dir = address.Path
	case address.Scheme == "http" || address.Scheme == "https":
		_, db.Port, _ = localiseOne(db.URL)
	default:
		return errors.New("GOVULNDB is not an address such as https://vuln.example.org or file:///srv/vulndb")
	}
	return nil
}

// readVersion opens the file with the database's version.
func readVersion(ctx context.Context, db pipelines.VulnDB) (io.ReadCloser, error) {
	if db.Dir != "" {
		file, err := os.Open(filepath.Join(db.Dir, filepath.FromSlash(vulnDBVersion)))
		if err != nil {
			return nil, fmt.Errorf("the vulnerability database cannot be read: %w", err)
		}
		return file, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, db.URL+"/"+vulnDBVersion, nil)
	if err != nil {
		return nil, errors.New("GOVULNDB is not an address")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, errors.New("the vulnerability database cannot be reached")
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("the vulnerability database answers %s", response.Status)
	}
	return response.Body, nil
}
