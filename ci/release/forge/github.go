package forge

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-github/v80/github"
)

const (
	// DefaultAPI is GitHub's own. GitHub Actions says another one in GITHUB_API_URL.
	DefaultAPI = "https://api.github.com"
	// DefaultIdle is how long a request may stand still.
	DefaultIdle = 30 * time.Second

	perPage  = 100
	maxPages = 100
	// maxNotes is what GitHub takes as the text of a release.
	maxNotes = 120_000
)

// GitHubOptions say which repository. Repository and Token are needed.
type GitHubOptions struct {
	Repository string // owner/name
	Token      string // it may write contents (permissions: contents: write)
	API        string // "" means DefaultAPI; https://github.example.org/api/v3 for a server of one's own
	Idle       time.Duration
	Transport  http.RoundTripper // nil: that of net/http
}

// GitHub is a repository on GitHub, or on a GitHub Enterprise Server.
type GitHub struct {
	client      *github.Client
	downloads   *http.Client // without the token
	owner, name string
	token       string
	idle        time.Duration
}

var _ Forge = (*GitHub)(nil)

// NewGitHub makes no request.
func NewGitHub(o GitHubOptions) (*GitHub, error) {
	parts := regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9-]*)/([A-Za-z0-9._-]+)$`).FindStringSubmatch(o.Repository)
	if parts == nil {
		return nil, fmt.Errorf("GitHub repository %q: it looks like owner/name", o.Repository)
	}
	if o.Token == "" || strings.ContainsAny(o.Token, " \t\r\n") {
		return nil, errors.New("GitHub needs a token that may write contents, in one word: in a workflow, ${{ secrets.GITHUB_TOKEN }}")
	}
	api, uploads, err := addresses(cmp.Or(o.API, DefaultAPI))
	if err != nil {
		return nil, err
	}
	transport := o.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	client := github.NewClient(&http.Client{Transport: &tokenTransport{token: o.Token, hosts: []string{api.Host, uploads.Host}, next: transport}})
	client.BaseURL, client.UploadURL = api, uploads
	client.DisableRateLimitCheck = true // whoever waits is Upload
	return &GitHub{client: client, downloads: &http.Client{Transport: transport}, owner: parts[1], name: parts[2], token: o.Token, idle: cmp.Or(o.Idle, DefaultIdle)}, nil
}

// addresses are those of the API and of uploads, which GitHub has on another
// host and a server of one's own beside it.
func addresses(text string) (api, uploads *url.URL, err error) {
	api, err = url.Parse(strings.TrimSuffix(text, "/") + "/")
	if err != nil || api.Host == "" || api.User != nil || api.RawQuery != "" || api.Fragment != "" {
		return nil, nil, fmt.Errorf("GitHub API %q: it looks like %s or https://github.example.org/api/v3", text, DefaultAPI)
	}
	if loopback := api.Hostname() == "localhost" || net.ParseIP(api.Hostname()).IsLoopback(); api.Scheme != "https" && (api.Scheme != "http" || !loopback) {
		return nil, nil, fmt.Errorf("GitHub API %q: a token is sent over https only", text)
	}
	copied := *api
	switch {
	case api.Host == "api.github.com":
		copied.Host = "uploads.github.com"
	case strings.HasPrefix(api.Host, "api."): // GitHub Enterprise Cloud with data residency
		copied.Host = "uploads." + strings.TrimPrefix(api.Host, "api.")
	default:
		copied.Path = strings.TrimSuffix(api.Path, "v3/") + "uploads/"
	}
	return api, &copied, nil
}

// tokenTransport sends the token to the forge's hosts, and nowhere else: a
// download is redirected to a storage that is somebody else's.
type tokenTransport struct {
	token string
	hosts []string
	next  http.RoundTripper
}

func (t *tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, host := range t.hosts {
		if r.URL.Host == host {
			r = r.Clone(r.Context())
			r.Header.Set("Authorization", "Bearer "+t.token)
			break
		}
	}
	return t.next.RoundTrip(r)
}

// Find asks for the published release first: drafts have no address by tag,
// and there may be several of one tag. The oldest one counts.
func (g *GitHub) Find(ctx context.Context, tag string) (*State, error) {
	ctx, touch, stop := g.watched(ctx)
	defer stop()
	release, _, err := g.client.Repositories.GetReleaseByTag(ctx, g.owner, g.name, tag)
	if err == nil {
		state := stateOf(release)
		return &state, nil
	}
	if status(err) != http.StatusNotFound {
		return nil, g.convert(stalled(ctx, err))
	}
	return g.findDraft(ctx, tag, touch)
}

func (g *GitHub) findDraft(ctx context.Context, tag string, touch func()) (*State, error) {
	var oldest *State
	for page := 1; page != 0 && page <= maxPages; {
		touch()
		list, answer, err := g.client.Repositories.ListReleases(ctx, g.owner, g.name, &github.ListOptions{Page: page, PerPage: perPage})
		if err != nil {
			return nil, g.convert(stalled(ctx, err))
		}
		for _, release := range list {
			if state := stateOf(release); state.Tag == tag && (oldest == nil || state.ID < oldest.ID) {
				oldest = &state
			}
		}
		page = answer.NextPage
	}
	return oldest, nil
}

// Create makes a draft.
func (g *GitHub) Create(ctx context.Context, r Release) (State, error) {
	ctx, stop := g.limited(ctx)
	defer stop()
	release := describe(r)
	release.Draft = github.Ptr(true)
	made, _, err := g.client.Repositories.CreateRelease(ctx, g.owner, g.name, release)
	if err != nil {
		return State{}, g.convert(err)
	}
	return stateOf(made), nil
}

// Publish makes a draft visible, as the release says now.
func (g *GitHub) Publish(ctx context.Context, id int64, r Release) (State, error) {
	ctx, stop := g.limited(ctx)
	defer stop()
	release := describe(r)
	release.Draft = github.Ptr(false)
	release.MakeLatest = github.Ptr(fmt.Sprint(r.Latest && !r.Prerelease))
	made, _, err := g.client.Repositories.EditRelease(ctx, g.owner, g.name, id, release)
	if err != nil {
		return State{}, g.convert(err)
	}
	if state := stateOf(made); !state.Draft {
		return state, nil
	}
	return State{}, &TemporaryError{Cause: errors.New("GitHub left the release a draft")}
}

func describe(r Release) *github.RepositoryRelease {
	notes := []rune(r.Notes)
	if len(notes) > maxNotes {
		notes = append(notes[:maxNotes:maxNotes], []rune("\n\n…")...)
	}
	return &github.RepositoryRelease{TagName: &r.Tag, TargetCommitish: &r.Commit, Name: github.Ptr(cmp.Or(r.Name, r.Tag)), Body: github.Ptr(string(notes)), Prerelease: &r.Prerelease}
}

func stateOf(r *github.RepositoryRelease) State {
	return State{ID: r.GetID(), Tag: r.GetTagName(), Draft: r.GetDraft(), URL: r.GetHTMLURL()}
}

// Assets lists all pages of a release's files.
func (g *GitHub) Assets(ctx context.Context, release int64) ([]Asset, error) {
	ctx, touch, stop := g.watched(ctx)
	defer stop()
	var assets []Asset
	for page := 1; page != 0 && page <= maxPages; {
		touch()
		list, answer, err := g.client.Repositories.ListReleaseAssets(ctx, g.owner, g.name, release, &github.ListOptions{Page: page, PerPage: perPage})
		if err != nil {
			return nil, g.convert(stalled(ctx, err))
		}
		for _, a := range list {
			assets = append(assets, assetOf(a))
		}
		page = answer.NextPage
	}
	return assets, nil
}

func assetOf(a *github.ReleaseAsset) Asset {
	return Asset{ID: a.GetID(), Name: a.GetName(), Size: int64(a.GetSize()), Digest: a.GetDigest(), Complete: a.GetState() == "uploaded"}
}

// Send uploads a file. Until it is over, GitHub keeps an asset in the state
// "starter", which stays there when it fails.
func (g *GitHub) Send(ctx context.Context, release int64, name string, size int64, content io.Reader) (Asset, error) {
	ctx, touch, stop := g.watched(ctx)
	defer stop()
	place := fmt.Sprintf("repos/%s/%s/releases/%d/assets?name=%s", g.owner, g.name, release, url.QueryEscape(name))
	request, err := g.client.NewUploadRequest(place, &touching{content, touch}, size, "application/octet-stream")
	if err != nil {
		return Asset{}, g.convert(err)
	}
	var made github.ReleaseAsset
	if _, err := g.client.Do(ctx, request, &made); err != nil {
		return Asset{}, g.convert(stalled(ctx, err))
	}
	return assetOf(&made), nil
}

// Digest is what GitHub says of an asset; older servers say nothing, and the
// asset is read.
func (g *GitHub) Digest(ctx context.Context, asset Asset) (string, error) {
	if asset.Digest != "" {
		return asset.Digest, nil
	}
	ctx, touch, stop := g.watched(ctx)
	defer stop()
	content, _, err := g.client.Repositories.DownloadReleaseAsset(ctx, g.owner, g.name, asset.ID, g.downloads)
	if err != nil {
		return "", g.convert(stalled(ctx, err))
	}
	defer content.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, &touching{content, touch}); err != nil {
		return "", g.convert(stalled(ctx, err))
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

// Remove deletes an asset.
func (g *GitHub) Remove(ctx context.Context, asset int64) error {
	ctx, stop := g.limited(ctx)
	defer stop()
	_, err := g.client.Repositories.DeleteReleaseAsset(ctx, g.owner, g.name, asset)
	if err == nil || status(err) == http.StatusNotFound {
		return nil
	}
	return g.convert(err)
}

// TagCommit asks for the commit of a tag, through annotated tags. GitHub
// answers 422 where there is no such tag.
func (g *GitHub) TagCommit(ctx context.Context, tag string) (string, error) {
	ctx, stop := g.limited(ctx)
	defer stop()
	request, err := g.client.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/commits/tags/%s", g.owner, g.name, escapeTag(tag)), nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", "application/vnd.github.sha")
	var commit bytes.Buffer
	_, err = g.client.Do(ctx, request, &commit)
	if code := status(err); code == http.StatusUnprocessableEntity {
		return "", nil
	}
	if err != nil {
		return "", g.convert(err)
	}
	return strings.TrimSpace(commit.String()), nil
}

// escapeTag escapes a tag for a path. Its slashes stay: they are part of it.
func escapeTag(tag string) string {
	parts := strings.Split(tag, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}
