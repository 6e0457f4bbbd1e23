package forgetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const base = "/api/v3/repos/example/greeter/"

// route answers one request as GitHub would.
func (g *GitHub) route(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+Token {
		say(w, http.StatusUnauthorized, problem("Bad credentials"))
		return
	}
	content, err := io.ReadAll(r.Body) // before the lock: it may take its time
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if found := uploadPath().FindStringSubmatch(r.URL.Path); found != nil && r.Method == http.MethodPost {
		g.upload(w, r, found[1], content)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, base)
	if !ok {
		say(w, http.StatusNotFound, problem("Not Found"))
		return
	}
	parts := strings.Split(path, "/")
	switch what := r.Method + " " + parts[0]; {
	case what == "GET commits":
		g.commit(w, strings.TrimPrefix(path, "commits/tags/"))
	case what == "GET releases" && len(parts) == 1:
		page(g, w, r, g.Releases, g.release)
	case what == "POST releases" && len(parts) == 1:
		g.create(w, content)
	case what == "GET releases" && parts[1] == "tags":
		g.byTag(w, strings.TrimPrefix(path, "releases/tags/"))
	case len(parts) == 3 && parts[1] == "assets":
		g.oneAsset(w, r, parts[2])
	case len(parts) >= 2 && parts[0] == "releases":
		g.oneRelease(w, r, parts[1:], content)
	default:
		say(w, http.StatusNotFound, problem("Not Found"))
	}
}

func say(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value)
}

func problem(message string, codes ...string) map[string]any {
	var details []map[string]string
	for _, code := range codes {
		details = append(details, map[string]string{"resource": "ReleaseAsset", "code": code, "field": "name"})
	}
	return map[string]any{"message": message, "errors": details, "documentation_url": "https://docs.github.com/rest"}
}

// page answers with one page of a list, and with the address of the next.
func page[T any](g *GitHub, w http.ResponseWriter, r *http.Request, list []T, show func(T) map[string]any) {
	number, _ := strconv.Atoi(r.URL.Query().Get("page"))
	size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
	number, size = max(number, 1), min(max(size, 1), g.PageSize)
	from, to := min((number-1)*size, len(list)), min(number*size, len(list))
	if to < len(list) {
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?page=%d&per_page=%d>; rel="next"`, r.Host, r.URL.Path, number+1, size))
	}
	shown := []map[string]any{}
	for _, item := range list[from:to] {
		shown = append(shown, show(item))
	}
	say(w, http.StatusOK, shown)
}

func (g *GitHub) release(r *Release) map[string]any {
	return map[string]any{"id": r.ID, "tag_name": r.Tag, "target_commitish": r.Commit, "name": r.Name, "body": r.Body, "draft": r.Draft, "prerelease": r.Prerelease,
		"html_url": "https://github.example.org/example/greeter/releases/tag/" + r.Tag}
}

func (g *GitHub) shown(a *Asset) map[string]any {
	shown := map[string]any{"id": a.ID, "name": a.Name, "state": a.State, "size": len(a.Content), "digest": nil}
	if !g.HideDigests && a.State == "uploaded" {
		shown["digest"] = Digest(a.Content)
	}
	return shown
}

func (g *GitHub) commit(w http.ResponseWriter, tag string) {
	if commit, ok := g.Tags[tag]; ok {
		_, _ = io.WriteString(w, commit)
		return
	}
	say(w, http.StatusUnprocessableEntity, problem("No commit found for SHA: tags/"+tag))
}

func (g *GitHub) byTag(w http.ResponseWriter, tag string) {
	if r := g.Release(tag); r != nil {
		say(w, http.StatusOK, g.release(r))
		return
	}
	say(w, http.StatusNotFound, problem("Not Found"))
}

// wish is what a client says of a release.
type wish struct {
	Tag        *string `json:"tag_name"`
	Commit     *string `json:"target_commitish"`
	Name       *string `json:"name"`
	Body       *string `json:"body"`
	Draft      *bool   `json:"draft"`
	Prerelease *bool   `json:"prerelease"`
	Latest     *string `json:"make_latest"`
}

func (w wish) apply(r *Release) {
	set(&r.Tag, w.Tag)
	set(&r.Commit, w.Commit)
	set(&r.Name, w.Name)
	set(&r.Body, w.Body)
	set(&r.Draft, w.Draft)
	set(&r.Prerelease, w.Prerelease)
	set(&r.Latest, w.Latest)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func (g *GitHub) create(w http.ResponseWriter, content []byte) {
	var wanted wish
	if json.Unmarshal(content, &wanted) != nil || wanted.Tag == nil {
		say(w, http.StatusUnprocessableEntity, problem("Validation Failed", "missing_field"))
		return
	}
	if g.Release(*wanted.Tag) != nil {
		say(w, http.StatusUnprocessableEntity, problem("Validation Failed", "already_exists"))
		return
	}
	r := &Release{ID: g.id()}
	wanted.apply(r)
	g.Releases = append(g.Releases, r)
	say(w, http.StatusCreated, g.release(r))
}

func (g *GitHub) oneRelease(w http.ResponseWriter, r *http.Request, parts []string, content []byte) {
	release := g.byID(parts[0])
	switch {
	case release == nil:
		say(w, http.StatusNotFound, problem("Not Found"))
	case r.Method == http.MethodGet && len(parts) == 2 && parts[1] == "assets":
		page(g, w, r, release.Assets, g.shown)
	case r.Method == http.MethodPatch && len(parts) == 1:
		g.edit(w, release, content)
	default:
		say(w, http.StatusNotFound, problem("Not Found"))
	}
}

// edit changes a release. One that becomes visible makes its tag.
func (g *GitHub) edit(w http.ResponseWriter, release *Release, content []byte) {
	changed := *release
	var wanted wish
	if json.Unmarshal(content, &wanted) != nil {
		say(w, http.StatusBadRequest, problem("Problems parsing JSON"))
		return
	}
	wanted.apply(&changed)
	if _, tagged := g.Tags[changed.Tag]; !changed.Draft && !tagged {
		if !slices.Contains(g.Commits, changed.Commit) {
			say(w, http.StatusUnprocessableEntity, problem("Validation Failed: target_commitish is invalid", "invalid"))
			return
		}
		g.Tags[changed.Tag] = changed.Commit
	}
	*release = changed
	say(w, http.StatusOK, g.release(release))
}

func (g *GitHub) oneAsset(w http.ResponseWriter, r *http.Request, id string) {
	release, asset := g.asset(id)
	switch {
	case asset == nil:
		say(w, http.StatusNotFound, problem("Not Found"))
	case r.Method == http.MethodDelete:
		release.Assets = slices.DeleteFunc(release.Assets, func(a *Asset) bool { return a == asset })
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet && r.Header.Get("Accept") == "application/octet-stream":
		http.Redirect(w, r, g.storage.URL+"/"+id, http.StatusFound)
	default:
		say(w, http.StatusOK, g.shown(asset))
	}
}

func (g *GitHub) upload(w http.ResponseWriter, r *http.Request, id string, content []byte) {
	release, name := g.byID(id), stored(r.URL.Query().Get("name"))
	switch {
	case release == nil:
		say(w, http.StatusNotFound, problem("Not Found"))
	case name == "" || len(content) == 0 || r.ContentLength != int64(len(content)):
		say(w, http.StatusBadRequest, problem("Bad Content-Length"))
	case slices.ContainsFunc(release.Assets, func(a *Asset) bool { return a.Name == name }):
		say(w, http.StatusUnprocessableEntity, problem("Validation Failed", "already_exists"))
	default:
		asset := &Asset{ID: g.id(), Name: name, State: "uploaded", Content: content}
		release.Assets = append(release.Assets, asset)
		g.received[name]++
		say(w, http.StatusCreated, g.shown(asset))
	}
}
