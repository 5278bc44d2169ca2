// Package fetch gets files by URL, within limits of size and of where they may
// come from.
package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/orchis-run/orchis/pkg/job"
)

// Config says what may be fetched.
type Config struct {
	// AllowPrivate lets requests reach private addresses.
	AllowPrivate bool
	// Max bounds a file, in bytes; 10 GiB.
	Max int64
}

// Limit is the largest file that is taken.
func (c Config) Limit() int64 {
	if c.Max <= 0 {
		return 10 << 30
	}
	return c.Max
}

// Client makes requests; the address that is dialled is checked, so that
// neither names nor redirects lead to private networks.
func (c Config) Client() *http.Client {
	dialer := &net.Dialer{Timeout: 30 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		ip := ap.Addr().Unmap().WithZone("")
		if !c.AllowPrivate && Private(ip) {
			return job.Permanent(job.Code(fmt.Errorf("the address %s is private; set ORCHIS_ALLOW_PRIVATE=true to allow it", ip), "privateAddress"))
		}
		return nil
	}}
	return &http.Client{
		CheckRedirect: redirect,
		// No Proxy: what a proxy dials cannot be checked here.
		Transport: &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: 30 * time.Second, ResponseHeaderTimeout: 5 * time.Minute},
	}
}

// Private reports whether an address belongs to this machine, to a network
// that is not public, or leads to one.
func Private(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return true
	}
	for _, network := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32", "2002::/16", "fec0::/10", // what holds IPv4 addresses among them
	} {
		if netip.MustParsePrefix(network).Contains(ip) {
			return true
		}
	}
	return false
}

// redirect lets a request follow ten redirects. To another host it takes no
// headers along: they may hold secrets.
func redirect(next *http.Request, before []*http.Request) error {
	if len(before) >= 10 {
		return errors.New("more than 10 redirects")
	}
	if next.URL.Scheme != "http" && next.URL.Scheme != "https" {
		return badInput("a redirect leads to %s://", next.URL.Scheme)
	}
	if first := before[0].URL; next.URL.Host != first.Host || first.Scheme == "https" && next.URL.Scheme != "https" {
		clear(next.Header)
	}
	return nil
}

func badInput(format string, args ...any) error {
	return job.Permanent(job.Code(fmt.Errorf(format, args...), "badInput"))
}

// Request asks a server. What it answers is not looked at, see StatusError.
func (c Config) Request(ctx context.Context, method, address string, headers map[string]string, body []byte) (*http.Response, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, badInput("url must begin with http:// or https://")
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, badInput("%v", err)
	}
	if trace := job.Info(ctx).Trace; trace != "" {
		req.Header.Set("Traceparent", trace)
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	client := c.Client()
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // its URL may hold a password
			err = u.Err
		}
		if code := job.Classify(err).Code; code == "privateAddress" || code == "badInput" {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, job.Code(fmt.Errorf("%s %s: %w", method, req.URL.Redacted(), err), "connection")
	}
	return res, nil
}

// StatusError says whether a status is worth another attempt, and when.
func StatusError(res *http.Response) error {
	err := job.Code(fmt.Errorf("the server answers %s", res.Status), "http:"+strconv.Itoa(res.StatusCode))
	switch res.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if s, bad := strconv.Atoi(res.Header.Get("Retry-After")); bad == nil && s > 0 {
			return job.RetryAfter(err, min(time.Duration(s)*time.Second, time.Hour))
		}
		return err
	}
	if res.StatusCode >= 500 {
		return err
	}
	return job.Permanent(err)
}

// File is one that is being fetched. Reading it ends with an error when it is
// too large, or shorter than it should be.
type File struct {
	// Name is the last part of its path, or "download".
	Name string
	// Size is what was said of it before; -1 when nothing was.
	Size int64

	ctx  context.Context //nolint:containedctx // lives as long as the transfer
	from io.ReadCloser
	read int64
	max  int64
}

// Open begins to fetch what a URL names.
func (c Config) Open(ctx context.Context, address string) (*File, error) {
	res, err := c.Request(ctx, http.MethodGet, address, nil, nil)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, StatusError(res)
	}
	f, err := c.From(ctx, res.Body, res.ContentLength, path.Base(res.Request.URL.Path))
	if err != nil {
		_ = res.Body.Close()
	}
	return f, err
}

// From makes a File of what can be read already, with the same limits.
func (c Config) From(ctx context.Context, from io.ReadCloser, size int64, name string) (*File, error) {
	limit := c.Limit()
	if size > limit {
		return nil, job.Permanent(job.Code(fmt.Errorf("the file has %d bytes, more than the limit of %d", size, limit), "tooLarge"))
	}
	if name == "/" || name == "." || !filepath.IsLocal(name) {
		name = "download"
	}
	return &File{Name: name, Size: size, ctx: ctx, from: from, max: limit}, nil
}

// Read reads and reports the progress.
func (f *File) Read(p []byte) (int, error) {
	if f.ctx.Err() != nil {
		return 0, context.Cause(f.ctx)
	}
	n, err := f.from.Read(p)
	f.read += int64(n)
	switch {
	case f.read > f.max:
		return 0, job.Permanent(job.Code(fmt.Errorf("the file is larger than the limit of %d bytes", f.max), "tooLarge"))
	case err != nil && f.ctx.Err() != nil:
		return n, context.Cause(f.ctx)
	case err != nil && !errors.Is(err, io.EOF), errors.Is(err, io.EOF) && f.Size > 0 && f.read < f.Size:
		return n, job.Code(fmt.Errorf("the download broke off after %d bytes", f.read), "connection")
	}
	percent := 0.0
	if f.Size > 0 {
		percent = 100 * float64(f.read) / float64(f.Size)
	}
	job.Progress(f.ctx, percent, fmt.Sprintf("%d bytes", f.read))
	return n, err
}

// Close ends the transfer.
func (f *File) Close() error { return f.from.Close() }

// Save writes what is left of the file into a folder, where all may read it.
func (f *File) Save(dir string) (to string, size int64, err error) {
	tmp, err := os.CreateTemp(dir, ".download-*"+filepath.Ext(f.Name))
	if err != nil {
		return "", 0, fmt.Errorf("download: %w", err)
	}
	n, err := io.Copy(tmp, f)
	closing := errors.Join(tmp.Chmod(0o644), tmp.Close())
	switch {
	case err != nil:
		return "", 0, err
	case closing != nil:
		return "", 0, fmt.Errorf("download: %w", closing)
	}
	return tmp.Name(), n, nil
}
