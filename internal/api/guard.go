package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// cookieName holds the token of a browser.
const cookieName = "orchis_token"

// Guard lets only those requests through that may be answered. changes says that
// the request would change something.
func (s *Server) Guard(next http.Handler, changes bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Headers(w)
		if e := s.foreign(r); e != nil {
			Fail(w, r, e)
			return
		}
		if !s.Authorized(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="orchis"`)
			Fail(w, r, &Error{http.StatusUnauthorized, "unauthorized", "give the token of ORCHIS_API_TOKEN as Authorization: Bearer"})
			return
		}
		if changes && s.cfg.ReadOnly {
			Fail(w, r, &Error{http.StatusForbidden, "readOnly", "this server only shows; ORCHIS_API is read"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Headers are those of every answer: what a page may load and who may frame it.
func Headers(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// foreign refuses requests of other sites' pages, and requests under names that
// are not ours, as a page makes that lets its own name lead here.
func (s *Server) foreign(r *http.Request) *Error {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if len(s.cfg.Hosts) > 0 && !slices.Contains(s.cfg.Hosts, strings.ToLower(strings.Trim(host, "[]"))) {
		return &Error{http.StatusMisdirectedRequest, "host", "this server is not known as " + host + "; ORCHIS_HOSTS lists its names"}
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || u.Host != r.Host {
			return &Error{http.StatusForbidden, "origin", "pages of other sites may not ask"}
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		if r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Mode") != "navigate" {
			return &Error{http.StatusForbidden, "origin", "pages of other sites may not ask"}
		}
	}
	return nil
}

// Authorized reports whether a request has the token.
func (s *Server) Authorized(r *http.Request) bool {
	if s.cfg.Token == "" {
		return true
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		if c, err := r.Cookie(cookieName); err == nil {
			given = c.Value
		}
	}
	return s.Right(given)
}

// Right reports whether a token is the one; how long it takes tells nothing.
func (s *Server) Right(token string) bool {
	a, b := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.cfg.Token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// Cookie is what a browser keeps once the token was right.
func (s *Server) Cookie(token string, secure bool) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure wherever the connection is
		Name: cookieName, Value: token, Path: s.cfg.BasePath + "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode,
		MaxAge: int((30 * 24 * 3600)),
	}
}

// Loopback reports whether only this machine can reach an address.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
