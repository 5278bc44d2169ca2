package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// folder keeps artifacts in a folder that all who use them can reach.
type folder struct {
	root string

	mu    sync.Mutex
	known map[string]stamp // files that were held against their digests
}

type stamp struct {
	changed time.Time
	size    int64
}

func newFolder(root, prefix string) *folder {
	return &folder{root: filepath.Join(root, prefix), known: map[string]stamp{}}
}

func (f *folder) path(digest string) string {
	return filepath.Join(f.root, "sha256", digest[:2], digest)
}

// temporary makes a file beside the artifacts, so that it can be moved there.
func (f *folder) temporary(kind string) (*os.File, error) {
	dir := filepath.Join(f.root, "tmp")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return os.CreateTemp(dir, kind+"-*")
}

func (f *folder) Put(ctx context.Context, name string, from io.Reader) (Ref, int64, error) {
	tmp, err := f.temporary("new")
	if err != nil {
		return Ref{}, 0, fmt.Errorf("keep %s: %w", name, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(tmp, hash), reader{ctx, from})
	if err := errors.Join(err, tmp.Chmod(0o444), tmp.Sync(), tmp.Close()); err != nil {
		return Ref{}, 0, fmt.Errorf("keep %s: %w", name, err)
	}
	ref := Ref{Digest: hex.EncodeToString(hash.Sum(nil)), Name: clean(name)}
	to := f.path(ref.Digest)
	now := time.Now()
	if info, err := os.Stat(to); err == nil && info.Size() == n && os.Chtimes(to, now, now) == nil {
		return ref, n, nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return Ref{}, 0, fmt.Errorf("keep %s: %w", name, err)
	}
	if err := os.Rename(tmp.Name(), to); err != nil {
		return Ref{}, 0, fmt.Errorf("keep %s: %w", name, err)
	}
	return ref, n, nil
}

func (f *folder) Path(ctx context.Context, ref Ref, _ string) (string, error) {
	path, err := filepath.Abs(f.path(ref.Digest))
	if err != nil {
		return "", fmt.Errorf("find %s: %w", ref, err)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("find %s: %w", ref, err)
	}
	is := stamp{info.ModTime(), info.Size()}
	f.mu.Lock()
	good := f.known[path] == is
	f.mu.Unlock()
	if good {
		return path, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", ref, err)
	}
	defer func() { _ = file.Close() }()
	if err := verify(ctx, ref, file, io.Discard); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.known) > 10_000 {
		clear(f.known)
	}
	f.known[path] = is
	return path, nil
}

func (f *folder) Open(_ context.Context, ref Ref) (io.ReadCloser, error) {
	file, err := os.Open(f.path(ref.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	return file, err
}

func (f *folder) Walk(ctx context.Context, do func(Entry) error) error {
	err := filepath.WalkDir(filepath.Join(f.root, "sha256"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) || len(d.Name()) != 64 {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return do(Entry{Digest: d.Name(), Size: info.Size(), Used: info.ModTime()})
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Remove takes the file away first and then looks again how old it is: who puts
// it meanwhile has either made it young, or finds it gone and writes it anew.
func (f *folder) Remove(_ context.Context, digest string, before time.Time) error {
	f.sweep(before)
	gone, err := f.temporary("gone")
	if err != nil {
		return fmt.Errorf("remove artifact %s: %w", digest, err)
	}
	_ = gone.Close()
	if err := os.Rename(f.path(digest), gone.Name()); err != nil {
		_ = os.Remove(gone.Name())
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("remove artifact %s: %w", digest, err)
	}
	info, err := os.Stat(gone.Name())
	if err == nil && info.ModTime().After(before) {
		return os.Rename(gone.Name(), f.path(digest))
	}
	return os.Remove(gone.Name())
}

// sweep removes what programs that died have left half written.
func (f *folder) sweep(before time.Time) {
	dir := filepath.Join(f.root, "tmp")
	all, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, d := range all {
		if info, err := d.Info(); err == nil && info.ModTime().Before(before) {
			_ = os.Remove(filepath.Join(dir, d.Name()))
		}
	}
}

func (f *folder) Owner(context.Context) (string, error) {
	raw, err := os.ReadFile(filepath.Join(f.root, "owner"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(raw)), err
}

func (f *folder) Own(_ context.Context, owner string) error {
	if err := os.MkdirAll(f.root, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.root, "owner"), []byte(owner+"\n"), 0o644)
}

// verify copies an artifact and holds it against its digest.
func verify(ctx context.Context, ref Ref, from io.Reader, to io.Writer) error {
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(to, hash), reader{ctx, from}); err != nil {
		return fmt.Errorf("read %s: %w", ref, err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != ref.Digest {
		return fmt.Errorf("%s is damaged: its content has the digest %s", ref, got)
	}
	return nil
}

// reader ends with its context.
type reader struct {
	ctx  context.Context //nolint:containedctx // lives as long as the copy
	from io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}
