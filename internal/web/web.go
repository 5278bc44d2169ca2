// Package web is the dashboard: pages rendered on the server, that work without
// scripts and are kept up to date by a little of their own.
package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/pkg/client"
)

//go:embed assets
var assets embed.FS

//go:embed pages
var pages embed.FS

// site renders the pages of one API server.
type site struct {
	api   *api.Server
	tmpl  map[string]*template.Template
	stamp map[string]string // asset -> hash of its content
}

// Register adds the dashboard to a mux.
func Register(mux *http.ServeMux, server *api.Server) {
	s := &site{api: server, tmpl: map[string]*template.Template{}, stamp: map[string]string{}}
	s.parse()
	base := server.BasePath()
	page := func(pattern, name string, do func(*http.Request) (*view, error)) {
		mux.Handle("GET "+base+pattern, s.open(s.page(name, do)))
	}
	page("/{$}", "overview", s.overview)
	page("/runs", "runs", s.runs)
	page("/runs/{run}", "run", s.run)
	page("/recipes", "recipes", s.recipes)
	page("/recipes/{recipe...}", "recipe", s.recipe)
	page("/queues", "queues", s.queues)
	page("/workers", "workers", s.workers)
	page("/dead", "dead", s.dead)
	page("/schedules", "schedules", s.schedules)
	page("/system", "system", s.system)
	do := func(pattern string, act func(*http.Request) (string, error)) {
		mux.Handle("POST "+base+pattern, s.api.Guard(s.action(act), true))
	}
	do("/runs", s.actOnRuns)
	do("/runs/{run}", s.actOnRun)
	do("/recipes/{recipe...}", s.submit)
	do("/queues/{queue}", s.actOnQueue)
	do("/dead/{letter}", s.actOnDead)
	do("/schedules/{schedule}", s.actOnSchedule)
	mux.Handle("GET "+base+"/runs/{run}/lines.txt", s.open(http.HandlerFunc(s.download)))
	mux.Handle("GET "+base+"/live", s.open(http.HandlerFunc(s.live)))
	mux.Handle("GET "+base+"/assets/{file}", s.api.Foreign()(http.HandlerFunc(s.asset)))
	mux.Handle("GET "+base+"/login", s.api.Foreign()(http.HandlerFunc(s.loginPage)))
	mux.Handle("POST "+base+"/login", s.api.Foreign()(http.HandlerFunc(s.login)))
	mux.Handle("POST "+base+"/logout", s.api.Foreign()(http.HandlerFunc(s.logout)))
	if base != "" {
		mux.Handle("GET "+base, http.RedirectHandler(base+"/", http.StatusMovedPermanently))
	}
}

// parse reads the templates and hashes the assets; both are part of the program,
// so that an error is a mistake in it.
func (s *site) parse() {
	layout := template.Must(template.New("layout.html").Funcs(s.functions()).ParseFS(pages, "pages/layout.html", "pages/parts.html", "pages/icons.html"))
	files, err := fs.Glob(pages, "pages/*.html")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "parts" || name == "icons" {
			continue
		}
		s.tmpl[name] = template.Must(template.Must(layout.Clone()).ParseFS(pages, file))
	}
	all, err := assets.ReadDir("assets")
	if err != nil {
		panic(err)
	}
	for _, f := range all {
		raw, err := assets.ReadFile("assets/" + f.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(raw)
		s.stamp[f.Name()] = hex.EncodeToString(sum[:6])
	}
}

// view is what a page is made of.
type view struct {
	Title string
	// Nav is the entry of the navigation that is marked.
	Nav string
	// Base is the base path, Path the page's own, Query its parameters.
	Base, Path string
	Query      url.Values
	Version    string
	ReadOnly   bool
	Locked     bool // a token was asked for
	Counts     counts
	// Run is set on the page of a run, whose events keep it up to date: those
	// after Seen, the version that is shown.
	Run   string
	Seen  int64
	Error string
	Now   time.Time
	Data  any
	err   *api.Error
}

// counts stand beside the navigation.
type counts struct{ Active, Dead, Workers int64 }

// open lets those in who may be; others are asked for the token.
func (s *site) open(next http.Handler) http.Handler {
	return s.api.Foreign()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.api.Authorized(r) {
			http.Redirect(w, r, s.api.BasePath()+"/login?to="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

const patience = 15 * time.Second

// page answers with a page; what goes wrong is a page, too.
func (s *site) page(name string, do func(*http.Request) (*view, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, stop := context.WithTimeout(r.Context(), patience)
		defer stop()
		r = r.WithContext(ctx)
		name, status := name, http.StatusOK
		v, err := do(r)
		if err != nil {
			e := api.ErrorOf(err)
			status = e.Status
			name, v = "error", &view{Title: http.StatusText(e.Status), err: e, Data: e}
		}
		s.render(w, r, name, status, v)
	})
}

func (s *site) render(w http.ResponseWriter, r *http.Request, name string, status int, v *view) {
	v.Base, v.Path, v.Query, v.Version, v.ReadOnly = s.api.BasePath(), r.URL.Path, r.URL.Query(), s.api.Version(), s.api.ReadOnly()
	v.Now = time.Now()
	if c, err := r.Cookie("orchis_token"); err == nil && c.Value != "" {
		v.Locked = true
	}
	if e := v.Query.Get("error"); e != "" {
		v.Error = e
	}
	if name != "login" && v.err == nil {
		s.count(r.Context(), v)
	}
	var out bytes.Buffer
	if err := s.tmpl[name].ExecuteTemplate(&out, "layout.html", v); err != nil {
		http.Error(w, "the page cannot be written: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w)
}

// count fills in the numbers of the navigation; without them the page is still
// of use.
func (s *site) count(ctx context.Context, v *view) {
	if t, err := s.api.Client().Count(ctx, 1); err == nil {
		v.Counts.Active = t.Active
	}
	if d, err := s.api.Client().DeadLetters(ctx, 100); err == nil {
		v.Counts.Dead = int64(len(d))
	}
	if all, err := s.api.Client().Workers(ctx); err == nil {
		if now, err := s.api.Client().Now(ctx); err == nil {
			v.Counts.Workers = int64(len(alive(all, now)))
		}
	}
}

func alive(all []client.Worker, now time.Time) []client.Worker {
	var out []client.Worker
	for _, w := range all {
		if w.Alive(now) {
			out = append(out, w)
		}
	}
	return out
}

// action does something and leads back to a page, with what went wrong.
func (s *site) action(act func(*http.Request) (string, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 2<<20)
		ctx, stop := context.WithTimeout(r.Context(), patience)
		defer stop()
		r = r.WithContext(ctx) // the form is read once, and kept in this request
		to, err := act(r)
		if to == "" {
			to = s.back(r)
		}
		if err != nil {
			u, bad := url.Parse(to)
			if bad != nil {
				u = &url.URL{Path: s.api.BasePath() + "/"}
			}
			q := u.Query()
			q.Set("error", api.ErrorOf(err).Message)
			u.RawQuery = q.Encode()
			to = u.String()
		}
		http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // see back
	})
}

// back is the page from which a form was sent, if it is one of ours.
func (s *site) back(r *http.Request) string {
	to := r.FormValue("back")
	if !strings.HasPrefix(to, s.api.BasePath()+"/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		return s.api.BasePath() + "/"
	}
	return to
}

func (s *site) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	raw, err := assets.ReadFile("assets/" + name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(raw))
}

func (s *site) loginPage(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, "login", http.StatusOK, &view{Title: "Sign in", Data: r.URL.Query().Get("to")})
}

func (s *site) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	token := strings.TrimSpace(r.FormValue("token"))
	if !s.api.Right(token) {
		s.render(w, r, "login", http.StatusUnauthorized, &view{Title: "Sign in", Error: "This is not the token.", Data: r.FormValue("back")})
		return
	}
	http.SetCookie(w, s.api.Cookie(token, r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"))
	http.Redirect(w, r, s.back(r), http.StatusSeeOther) //nolint:gosec // see back
}

func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	c := s.api.Cookie("", false) //nolint:gosec // it takes the cookie away
	c.MaxAge = -1
	http.SetCookie(w, c)
	http.Redirect(w, r, s.api.BasePath()+"/login", http.StatusSeeOther)
}

// live tells a page that something has changed, by server-sent events.
func (s *site) live(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	if _, err := fmt.Fprint(w, "retry: 1000\n\n"); err != nil || out.Flush() != nil {
		return
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for quiet := 0; ; quiet++ {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
		now, err := s.api.Client().Pulse(r.Context())
		text := ""
		switch {
		case err == nil && now != last && last != "":
			text = "event: changes\ndata: {}\n\n"
		case quiet >= 60:
			text = ": still here\n\n"
		}
		if err == nil {
			last = now
		}
		if text == "" {
			continue
		}
		quiet = 0
		if _, err := fmt.Fprint(w, text); err != nil || out.Flush() != nil {
			return
		}
	}
}
