package worker

import (
	"context"
	"errors"
	"io"

	"github.com/orchis-run/orchis/internal/artifact"
	"github.com/orchis-run/orchis/pkg/job"
)

// files are the artifacts of one attempt, whose directory takes what has to be
// fetched.
type files struct {
	store artifact.Store
	dir   string
}

// Path finds an artifact. One that is gone, or no artifact at all, stays so.
func (f files) Path(ctx context.Context, text string) (string, error) {
	ref, err := artifact.Parse(text)
	if err != nil {
		return "", job.Permanent(job.Code(err, "badInput"))
	}
	path, err := f.store.Path(ctx, ref, f.dir)
	if errors.Is(err, artifact.ErrNotFound) {
		return "", job.Permanent(job.Code(err, "artifact"))
	}
	if err != nil {
		return "", job.Code(err, "artifact")
	}
	return path, nil
}

// Put keeps a file.
func (f files) Put(ctx context.Context, name string, from io.Reader) (string, error) {
	ref, _, err := f.store.Put(ctx, name, from)
	if err != nil {
		return "", job.Code(err, "artifact")
	}
	return ref.String(), nil
}
