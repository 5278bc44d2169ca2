// Package server is the dashboard and the HTTP API as an http.Handler, for
// programs that serve them beside things of their own:
//
//	h, err := server.New(ctx, server.Config{URL: "redis://localhost:6379", Token: token, BasePath: "/orchis"})
//	http.Handle("/orchis/", h)
//
// What is asked and shown stands in Redis, so any number of programs may serve
// it; the orchestrators need not be among them.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/internal/web"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
)

// Config says what is served and to whom. URL must be given, and Token or Open.
type Config struct {
	// URL of Redis, and the Prefix of the keys ("orchis").
	URL, Prefix string
	// TLS, if given, holds the certificates for a rediss:// URL.
	TLS *tls.Config
	// BasePath is where the handler is mounted, as /orchis; empty is the root.
	BasePath string
	// Token must come with every request but health checks: from programs as
	// Authorization: Bearer, from people once, at the login page. At least 16
	// bytes.
	Token string
	// Open answers without a token. Set it when something before the handler
	// lets only those through who may: whoever reaches it can run anything.
	Open bool
	// ReadOnly shows, and changes nothing.
	ReadOnly bool
	// Hosts are the names under which it may be asked, without ports; empty is
	// any.
	Hosts []string
	// Project is the folder with recipes/ and flows/ that can be looked at and
	// submitted by a form; empty: none.
	Project string
	Logger  *zap.Logger
}

// Server answers requests. Close it at the end.
type Server struct {
	client  *client.Client
	handler http.Handler
}

var (
	errNoToken  = errors.New("serve the dashboard and the API: give a Token, or say that it is Open to all who reach it")
	errToken    = errors.New("serve the dashboard and the API: the Token must have 16 bytes or more")
	errBasePath = errors.New("serve the dashboard and the API: BasePath must be a path as /orchis")

	basePathForm = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*$`)
)

// New connects to Redis.
func New(ctx context.Context, c Config) (*Server, error) {
	switch {
	case c.Token == "" && !c.Open:
		return nil, errNoToken
	case c.Token != "" && len(c.Token) < 16:
		return nil, errToken
	case !basePathForm.MatchString(c.BasePath):
		return nil, errBasePath
	}
	redis, err := client.Open(ctx, client.Config{URL: c.URL, TLS: c.TLS, Prefix: c.Prefix})
	if err != nil {
		return nil, fmt.Errorf("serve the dashboard and the API: %w", err)
	}
	routes := api.New(api.Config{
		Client: redis, Definitions: flow.Options{Root: c.Project}, Token: c.Token, ReadOnly: c.ReadOnly,
		BasePath: c.BasePath, Hosts: c.Hosts, Version: version(), Log: c.Logger,
	})
	mux := http.NewServeMux()
	routes.Register(mux)
	web.Register(mux, routes)
	return &Server{redis, mux}, nil
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close ends the connections to Redis.
func (s *Server) Close() error { return s.client.Close() }

// version is that of Orchis in the program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/orchis-run/orchis" {
			return m.Version
		}
	}
	return info.Main.Version
}
