package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gabriel-vasile/mimetype"

	"github.com/orchis-run/orchis/internal/executable"
	"github.com/orchis-run/orchis/pkg/job"
)

// client makes requests; the address that is dialled is checked, so that
// neither names nor redirects lead to private networks.
func (c Config) client() *http.Client {
	dialer := &net.Dialer{Timeout: 30 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		ip := ap.Addr().Unmap().WithZone("")
		if !c.AllowPrivate && private(ip) {
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

// private reports whether an address belongs to this machine, to a network
// that is not public, or leads to one.
func private(ip netip.Addr) bool {
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
		return job.Permanent(job.Code(fmt.Errorf("a redirect leads to %s://", next.URL.Scheme), "badInput"))
	}
	if first := before[0].URL; next.URL.Host != first.Host || first.Scheme == "https" && next.URL.Scheme != "https" {
		clear(next.Header)
	}
	return nil
}

func (c Config) request(ctx context.Context, method, address string, headers map[string]string, body []byte) (*http.Response, error) {
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
	client := c.client()
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

// statusError says whether a status is worth another attempt, and when.
func statusError(res *http.Response) error {
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

type httpIn struct {
	Method  string            `json:"method,omitempty"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    any               `json:"body,omitempty"`
	// Expect is a status or a list of them; any 2xx when not given.
	Expect any    `json:"expect,omitempty"`
	SaveAs string `json:"saveAs,omitempty"`
}

const maxBody = 10 << 20

func (c Config) http(ctx context.Context, in httpIn) (map[string]any, error) {
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	headers := map[string]string{}
	var body []byte
	switch b := in.Body.(type) {
	case nil:
	case string:
		body = []byte(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return nil, badInput("body: %v", err)
		}
		body, headers["Content-Type"] = raw, "application/json"
	}
	maps.Copy(headers, in.Headers)
	res, err := c.request(ctx, strings.ToUpper(in.Method), in.URL, headers, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if !expected(in.Expect, res.StatusCode) {
		return nil, statusError(res)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, job.Code(fmt.Errorf("read the answer: %w", err), "connection")
	}
	if len(raw) > maxBody {
		return nil, job.Permanent(job.Code(errors.New("the answer is larger than 10 MiB: use download"), "tooLarge"))
	}
	out := map[string]any{"status": res.StatusCode, "contentType": res.Header.Get("Content-Type")}
	var parsed any
	switch {
	case in.SaveAs != "":
		if !filepath.IsLocal(in.SaveAs) {
			return nil, badInput("saveAs %q is no plain name", in.SaveAs)
		}
		out["file"], err = job.PutArtifact(ctx, filepath.Base(in.SaveAs), bytes.NewReader(raw))
		return out, err
	case json.Unmarshal(raw, &parsed) == nil:
		out["body"] = parsed
	default:
		out["body"] = strings.ToValidUTF8(string(raw), "\ufffd")
	}
	return out, nil
}

func expected(want any, status int) bool {
	switch want := want.(type) {
	case float64:
		return int(want) == status
	case []any:
		return slices.ContainsFunc(want, func(w any) bool { f, ok := w.(float64); return ok && int(f) == status })
	}
	return status >= 200 && status < 300
}

type downloadIn struct {
	URL string `json:"url"`
	// Table named a folder in the first Orchis; nothing comes of it.
	Table string `json:"table,omitempty"`
}

// taken is a file that was fetched.
type taken struct {
	path, name, mime string
	size             int64
}

func (c Config) download(ctx context.Context, in downloadIn) (map[string]any, error) {
	got, err := c.take(ctx, in.URL)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(got.path)
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	defer func() { _ = f.Close() }()
	file, err := job.PutArtifact(ctx, got.name, f)
	if err != nil {
		return nil, err
	}
	ext := path.Ext(got.name)
	return map[string]any{
		"file": file, "filePath": file, "mime": got.mime, "size": got.size,
		"path": map[string]any{"base": got.name, "ext": ext, "name": strings.TrimSuffix(got.name, ext), "original": got.name},
	}, nil
}

// take fetches a file into the attempt's directory: from a URL, or from one of
// the folders from which files may be taken.
func (c Config) take(ctx context.Context, address string) (taken, error) {
	var from io.Reader
	var size int64
	name := path.Base(address)
	if strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://") {
		res, err := c.request(ctx, http.MethodGet, address, nil, nil)
		if err != nil {
			return taken{}, err
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusOK {
			return taken{}, statusError(res)
		}
		from, size = res.Body, res.ContentLength
		if u, err := url.Parse(address); err == nil {
			name = path.Base(u.Path)
		}
	} else {
		f, err := c.local(ctx, address)
		if err != nil {
			return taken{}, err
		}
		defer func() { _ = f.Close() }()
		info, err := f.Stat()
		if err != nil {
			return taken{}, badInput("%s is not a regular file", address)
		}
		from, size = f, info.Size()
	}
	return c.fetch(ctx, from, size, name)
}

// local opens an artifact, or a file of the folders from which files may be
// taken.
func (c Config) local(ctx context.Context, address string) (*os.File, error) {
	if strings.HasPrefix(address, "artifact:") {
		path, err := job.ArtifactPath(ctx, address)
		if err != nil {
			return nil, err
		}
		return os.Open(path)
	}
	address = strings.TrimPrefix(address, "file://")
	if strings.Contains(address, "://") {
		return nil, badInput("url must begin with http:// or https://, or be the path of a file")
	}
	abs, err := filepath.Abs(address)
	if err != nil {
		return nil, badInput("the file %s cannot be read", address)
	}
	for _, dir := range c.Files {
		from, err := filepath.Abs(dir)
		if err != nil {
			continue
		}
		name, err := filepath.Rel(from, abs)
		if err != nil || !filepath.IsLocal(name) {
			continue
		}
		f, err := executable.OpenIn(from, name)
		if err != nil {
			return nil, badInput("the file cannot be read: %v", err)
		}
		return f, nil
	}
	return nil, badInput("the file %s is neither in the project nor in ORCHIS_FILES", address)
}

func (c Config) fetch(ctx context.Context, from io.Reader, size int64, name string) (taken, error) {
	if size > c.MaxDownload {
		return taken{}, job.Permanent(job.Code(fmt.Errorf("the file has %d bytes, more than the limit of %d", size, c.MaxDownload), "tooLarge"))
	}
	if name == "/" || name == "." || !filepath.IsLocal(name) {
		name = "download"
	}
	tmp, err := os.CreateTemp(job.Info(ctx).Dir, ".download-*"+filepath.Ext(name))
	if err != nil {
		return taken{}, fmt.Errorf("download: %w", err)
	}
	n, err := io.Copy(tmp, &meter{r: io.LimitReader(from, c.MaxDownload+1), ctx: ctx, size: size})
	if closing := errors.Join(tmp.Chmod(0o644), tmp.Close()); err == nil && closing != nil {
		return taken{}, fmt.Errorf("download: %w", closing)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return taken{}, context.Cause(ctx)
	case err != nil || size > 0 && n < size:
		return taken{}, job.Code(fmt.Errorf("the download broke off after %d bytes", n), "connection")
	case n > c.MaxDownload:
		return taken{}, job.Permanent(job.Code(fmt.Errorf("the file is larger than the limit of %d bytes", c.MaxDownload), "tooLarge"))
	}
	kind, err := mimetype.DetectFile(tmp.Name())
	if err != nil {
		return taken{}, fmt.Errorf("download: %w", err)
	}
	return taken{path: tmp.Name(), name: name, mime: strings.SplitN(kind.String(), ";", 2)[0], size: n}, nil
}

// meter reports progress while it is read from.
type meter struct {
	r    io.Reader
	ctx  context.Context //nolint:containedctx // lives as long as the copy
	size int64
	n    int64
}

// Read reads and reports.
func (m *meter) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	m.n += int64(n)
	percent := 0.0
	if m.size > 0 {
		percent = 100 * float64(m.n) / float64(m.size)
	}
	job.Progress(m.ctx, percent, fmt.Sprintf("%d bytes", m.n))
	return n, err
}
