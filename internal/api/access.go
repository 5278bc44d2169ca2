package api

import (
	"net/http"

	"github.com/orchis-run/orchis/pkg/client"
)

// Client is what Redis is asked with; BasePath, ReadOnly, Version and Locked
// (whether a token is wanted) are those of the Config.
func (s *Server) Client() *client.Client { return s.cfg.Client }

// BasePath is where a proxy serves this.
func (s *Server) BasePath() string { return s.cfg.BasePath }

// ReadOnly says that nothing may be changed.
func (s *Server) ReadOnly() bool { return s.cfg.ReadOnly }

// Settings are those in effect.
func (s *Server) Settings() []Setting { return s.cfg.Settings }

// Version is that of the build.
func (s *Server) Version() string { return s.cfg.Version }

// Foreign refuses requests of other sites' pages, see Guard.
func (s *Server) Foreign() func(next http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			Headers(w)
			if e := s.foreign(r); e != nil {
				Fail(w, r, e)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}
