package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"github.com/orchis-run/orchis/internal/executable"
	"github.com/orchis-run/orchis/internal/fetch"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/run"
)

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
	res, err := c.fetch().Request(ctx, strings.ToUpper(in.Method), in.URL, headers, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if !expected(in.Expect, res.StatusCode) {
		return nil, fetch.StatusError(res)
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
	f, err := c.open(ctx, address)
	if err != nil {
		return taken{}, err
	}
	defer func() { _ = f.Close() }()
	to, size, err := f.Save(job.Info(ctx).Dir)
	if err != nil {
		return taken{}, err
	}
	kind, err := mimetype.DetectFile(to)
	if err != nil {
		return taken{}, fmt.Errorf("download: %w", err)
	}
	return taken{path: to, name: f.Name, mime: strings.SplitN(kind.String(), ";", 2)[0], size: size}, nil
}

func (c Config) open(ctx context.Context, address string) (*fetch.File, error) {
	if u, ok := webFile(address); ok {
		return c.fetch().Open(ctx, u)
	}
	f, err := c.local(ctx, address)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, badInput("%s is not a regular file", address)
	}
	out, err := c.fetch().From(ctx, f, info.Size(), path.Base(address))
	if err != nil {
		_ = f.Close()
	}
	return out, err
}

// webFile returns the URL of a file that has to be fetched.
func webFile(text string) (string, bool) {
	if u, ok := run.FileURL(text); ok {
		return u, true
	}
	return text, strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://")
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

// fetch is what may be fetched.
func (c Config) fetch() fetch.Config {
	return fetch.Config{AllowPrivate: c.AllowPrivate, Max: c.MaxDownload}
}
