package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/trail"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
)

// Config says what is served and to whom.
type Config struct {
	// Client asks Redis. Definitions are the project's, whose recipes are
	// listed; without a Root there are none.
	Client      *client.Client
	Definitions flow.Options
	// Token, if given, must come with every request but health checks.
	Token string
	// ReadOnly refuses everything that changes something.
	ReadOnly bool
	// BasePath is where a proxy serves this, as /orchis.
	BasePath string
	// Hosts are the names under which this may be asked, without ports; nil
	// allows all. Pages of other sites cannot ask then, whatever name they give
	// to this address.
	Hosts []string
	// Ready returns why the process is not working. Version is that of the
	// build.
	Ready   func(context.Context) []string
	Version string
	Log     *zap.Logger
	// Settings are those in effect, for people; secrets are hidden.
	Settings []Setting
	// Metrics, if given, answers /metrics.
	Metrics http.Handler
}

// Setting is a setting in effect: where it comes from, and what it is for.
type Setting struct{ Name, Value, From, Why string }

// Server answers the HTTP API.
type Server struct {
	cfg    Config
	routes []route
}

// New returns a server.
func New(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Ready == nil {
		cfg.Ready = func(context.Context) []string { return nil }
	}
	cfg.BasePath = strings.TrimRight(cfg.BasePath, "/")
	return &Server{cfg: cfg, routes: routes()}
}

// route is one thing that can be asked.
type route struct {
	method, path, summary string
	// query names the parameters, each with what it means.
	query [][2]string
	// body and reply are examples of what goes in and out; nil is nothing.
	body, reply any
	// changes says that something is changed, stream that the answer goes on.
	changes, stream bool
	// submits says that a run begins, which may be a part of the caller's trace.
	submits bool
	do      func(s *Server, w http.ResponseWriter, r *http.Request) (any, error)
}

// Register adds the API, health checks and metrics to a mux.
func (s *Server) Register(mux *http.ServeMux) {
	for i := range s.routes {
		rt := &s.routes[i]
		mux.Handle(rt.method+" "+s.cfg.BasePath+rt.path, s.Guard(s.handler(rt), rt.changes))
	}
	mux.Handle("GET "+s.cfg.BasePath+"/openapi.json", s.Guard(http.HandlerFunc(s.openAPI), false))
	mux.Handle(s.cfg.BasePath+"/api/", s.Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Fail(w, r, &Error{http.StatusNotFound, "notFound", "there is no " + r.Method + " " + r.URL.Path + "; /openapi.json lists what there is"})
	}), false))
	health(mux, s.cfg.Ready, s.cfg.Version)
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", s.Guard(s.cfg.Metrics, false))
	}
}

// Limits of requests.
const (
	maxBody    = 2 << 20 // and as much again as a definition may have
	maxRequest = 20 * time.Second
)

func (s *Server) handler(rt *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody+2*int64(s.cfg.Definitions.MaxBytes))
		if !rt.stream {
			ctx, stop := context.WithTimeout(r.Context(), maxRequest)
			defer stop()
			r = r.WithContext(ctx)
		}
		if rt.submits {
			r = r.WithContext(trail.Into(r.Context(), r.Header.Get("Traceparent")))
		}
		var reply any
		err := rt.known(r)
		if err == nil {
			reply, err = rt.do(s, w, r)
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if rt.stream {
			return
		}
		status := http.StatusOK
		if reply == nil {
			status = http.StatusNoContent
		}
		write(w, status, reply)
	})
}

func write(w http.ResponseWriter, status int, v any) {
	if v == nil {
		w.WriteHeader(status)
		return
	}
	raw, err := json.Marshal(v)
	if err != nil {
		status, raw = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the answer cannot be written"}}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n'))
}

// Error is an answer that says what is wrong.
type Error struct {
	Status        int
	Code, Message string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// failure is the JSON form of an Error.
type failure struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func badRequest(format string, args ...any) error {
	return &Error{http.StatusBadRequest, "badRequest", fmt.Sprintf(format, args...)}
}

// ErrorOf is the answer for an error.
func ErrorOf(err error) *Error {
	var e *Error
	var rejected *client.RejectedError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &rejected):
		return &Error{http.StatusUnprocessableEntity, "rejected", rejected.Reason}
	case errors.Is(err, client.ErrNotFound):
		return &Error{http.StatusNotFound, "notFound", err.Error()}
	case errors.Is(err, client.ErrCursor):
		return &Error{http.StatusBadRequest, "badRequest", err.Error()}
	case errors.As(err, &large):
		return &Error{http.StatusRequestEntityTooLarge, "tooLarge", fmt.Sprintf("the request has more than %d bytes", large.Limit)}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{http.StatusGatewayTimeout, "timeout", "there was no answer in time; is an orchestrator running?"}
	case redisstore.IsRetryable(err):
		return &Error{http.StatusServiceUnavailable, "unavailable", "Redis cannot be reached now"}
	}
	return &Error{http.StatusInternalServerError, "internal", "something went wrong; the log of the orchestrator says what"}
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(r.Context().Err(), context.Canceled) {
		return // nobody is there any more
	}
	e := ErrorOf(err)
	if e.Status >= http.StatusInternalServerError {
		s.cfg.Log.Warn("request failed", zap.String("path", r.URL.Path), zap.Error(err))
	}
	Fail(w, r, e)
}

// Fail answers with an error.
func Fail(w http.ResponseWriter, _ *http.Request, e *Error) {
	var f failure
	f.Error.Code, f.Error.Message = e.Code, e.Message
	write(w, e.Status, f)
}

// read reads the JSON body of a request into a struct; none is an empty one.
func read(r *http.Request, to any) error {
	if r.Body == nil || r.ContentLength == 0 {
		return nil
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/json" {
		return &Error{http.StatusUnsupportedMediaType, "mediaType", "the body must be JSON, with Content-Type: application/json"}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return err
		}
		return badRequest("the body is not what it should be: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// known refuses query parameters that the route does not have.
func (rt *route) known(r *http.Request) error {
	for name := range r.URL.Query() {
		if !slices.ContainsFunc(rt.query, func(q [2]string) bool { return q[0] == name }) {
			return badRequest("there is no parameter %q", name)
		}
	}
	return nil
}
