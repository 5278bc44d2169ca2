package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// young is how old an object may be for putting it again to be left out. What
// removes objects spares those that are younger than a day.
const young = 6 * time.Hour

// bucket keeps artifacts in an object store that speaks S3.
type bucket struct {
	client       *minio.Client
	name, prefix string
}

// openS3 reads s3://bucket/folder?endpoint=...&region=... . Who may use it comes
// from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the files of the AWS
// command, or the machine's role.
func openS3(setting, prefix string) (Store, error) {
	u, err := url.Parse(setting)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("want s3://bucket/folder?endpoint=https://host:port&region=name; keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	q := u.Query()
	for name := range q {
		if name != "endpoint" && name != "region" {
			return nil, fmt.Errorf("s3://%s: unknown parameter %q: known are endpoint and region", u.Host, name)
		}
	}
	endpoint, secure := "s3.amazonaws.com", true
	if e := q.Get("endpoint"); e != "" {
		at, err := url.Parse(e)
		if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
			return nil, fmt.Errorf("s3://%s: the endpoint %q must begin with http:// or https://", u.Host, e)
		}
		endpoint, secure = at.Host, at.Scheme == "https"
	}
	client, err := minio.New(endpoint, &minio.Options{
		Secure: secure, Region: q.Get("region"),
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: &http.Client{Timeout: 10 * time.Second}},
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("s3://%s: %w", u.Host, err)
	}
	return &bucket{client, u.Host, path.Join(strings.Trim(u.Path, "/"), prefix)}, nil
}

func (b *bucket) key(digest string) string { return path.Join(b.prefix, "sha256", digest[:2], digest) }

// missing reports whether an error says that an object is not there.
func missing(err error) bool { return minio.ToErrorResponse(err).StatusCode == http.StatusNotFound }

func (b *bucket) Put(ctx context.Context, name string, from io.Reader) (Ref, int64, error) {
	tmp, err := os.CreateTemp("", "orchis-artifact-*") // the name of the object needs all of the content
	if err != nil {
		return Ref{}, 0, fmt.Errorf("keep %s: %w", name, err)
	}
	defer func() { _, _ = tmp.Close(), os.Remove(tmp.Name()) }()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(tmp, hash), reader{ctx, from})
	if err != nil {
		return Ref{}, 0, fmt.Errorf("keep %s: %w", name, err)
	}
	ref := Ref{Digest: hex.EncodeToString(hash.Sum(nil)), Name: clean(name)}
	is, err := b.client.StatObject(ctx, b.name, b.key(ref.Digest), minio.StatObjectOptions{})
	if err == nil && is.Size == n && time.Since(is.LastModified) < young {
		return ref, n, nil
	}
	if err != nil && !missing(err) {
		return Ref{}, 0, fmt.Errorf("keep %s: %w", name, err)
	}
	if _, err := tmp.Seek(0, io.SeekStart); err != nil {
		return Ref{}, 0, fmt.Errorf("keep %s: %w", name, err)
	}
	if _, err := b.client.PutObject(ctx, b.name, b.key(ref.Digest), tmp, n, minio.PutObjectOptions{ContentType: "application/octet-stream"}); err != nil {
		return Ref{}, 0, fmt.Errorf("keep %s: %w", name, err)
	}
	return ref, n, nil
}

func (b *bucket) Path(ctx context.Context, ref Ref, dir string) (string, error) {
	to := filepath.Join(dir, ".artifacts", ref.Digest)
	if _, err := os.Stat(to); err == nil {
		return to, nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", fmt.Errorf("fetch %s: %w", ref, err)
	}
	from, err := b.Open(ctx, ref)
	if err != nil {
		return "", err
	}
	defer func() { _ = from.Close() }()
	tmp, err := os.CreateTemp(filepath.Dir(to), "new-*")
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", ref, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	err = verify(ctx, ref, from, tmp)
	if err := errors.Join(err, tmp.Chmod(0o444), tmp.Close()); err != nil {
		return "", err
	}
	return to, os.Rename(tmp.Name(), to)
}

func (b *bucket) Open(ctx context.Context, ref Ref) (io.ReadCloser, error) {
	o, err := b.client.GetObject(ctx, b.name, b.key(ref.Digest), minio.GetObjectOptions{})
	if err == nil {
		_, err = o.Stat() // before this nothing was asked
	}
	if missing(err) {
		return nil, fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", ref, err)
	}
	return o, nil
}

func (b *bucket) Walk(ctx context.Context, do func(Entry) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop() // ends the listing
	for o := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix + "/sha256/", Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("list artifacts: %w", o.Err)
		}
		if digest := path.Base(o.Key); len(digest) == 64 {
			if err := do(Entry{Digest: digest, Size: o.Size, Used: o.LastModified}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bucket) Remove(ctx context.Context, digest string, before time.Time) error {
	is, err := b.client.StatObject(ctx, b.name, b.key(digest), minio.StatObjectOptions{})
	if missing(err) || err == nil && is.LastModified.After(before) {
		return nil
	}
	if err == nil {
		err = b.client.RemoveObject(ctx, b.name, b.key(digest), minio.RemoveObjectOptions{})
	}
	if err != nil {
		return fmt.Errorf("remove artifact %s: %w", digest, err)
	}
	return nil
}

func (b *bucket) Owner(ctx context.Context) (string, error) {
	o, err := b.client.GetObject(ctx, b.name, path.Join(b.prefix, "owner"), minio.GetObjectOptions{})
	if err != nil {
		return "", err
	}
	defer func() { _ = o.Close() }()
	raw, err := io.ReadAll(io.LimitReader(o, 1<<10))
	if missing(err) {
		return "", nil
	}
	return strings.TrimSpace(string(raw)), err
}

func (b *bucket) Own(ctx context.Context, owner string) error {
	_, err := b.client.PutObject(ctx, b.name, path.Join(b.prefix, "owner"), bytes.NewReader([]byte(owner)), int64(len(owner)), minio.PutObjectOptions{ContentType: "text/plain"})
	return err
}
