package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/artifact"
	"github.com/orchis-run/orchis/internal/fetch"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/run"
)

// files are the artifacts of one attempt, whose directory takes what has to be
// fetched.
type files struct {
	store artifact.Store
	fetch fetch.Config
	dir   func() string
}

// Path finds an artifact, or fetches a file that was given by URL. An artifact
// that is gone, or none at all, stays so.
func (f files) Path(ctx context.Context, text string) (string, error) {
	if address, ok := run.FileURL(text); ok {
		return f.fetched(ctx, address)
	}
	ref, err := artifact.Parse(text)
	if err != nil {
		return "", job.Permanent(job.Code(err, "badInput"))
	}
	path, err := f.store.Path(ctx, ref, f.dir())
	if errors.Is(err, artifact.ErrNotFound) {
		return "", job.Permanent(job.Code(err, "artifact"))
	}
	if err != nil {
		return "", job.Code(err, "artifact")
	}
	return path, nil
}

func (f files) fetched(ctx context.Context, address string) (string, error) {
	from, err := f.fetch.Open(ctx, address)
	if err != nil {
		return "", err
	}
	defer func() { _ = from.Close() }()
	path, _, err := from.Save(f.dir())
	return path, err
}

// Put keeps a file.
func (f files) Put(ctx context.Context, name string, from io.Reader) (string, error) {
	ref, _, err := f.store.Put(ctx, name, from)
	if err != nil {
		return "", job.Code(err, "artifact")
	}
	return ref.String(), nil
}

var errNoDir = errors.New("make the working directory")

// Dir makes the attempt's working directory when it is first asked for: most
// handlers have no use for one. Without it the attempt ends, and the path that
// is returned is none.
func (a *attempt) Dir() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.dir != "" {
		return a.dir
	}
	dir, err := os.MkdirTemp("", "orchis-attempt-")
	if err != nil {
		a.cancel(fmt.Errorf("%w: %w", errNoDir, err))
		return filepath.Join(os.DevNull, "missing")
	}
	a.dir = dir
	return dir
}

func (a *attempt) removeDir() {
	a.mu.Lock()
	dir := a.dir
	a.mu.Unlock()
	if dir == "" {
		return
	}
	if err := os.RemoveAll(dir); err != nil {
		a.w.log.Warn("the working directory stays", append(a.fields(), zap.Error(err))...)
	}
}
