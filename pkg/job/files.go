package job

import (
	"context"
	"errors"
	"io"
)

// Files keeps files that jobs hand to one another; a worker has one.
type Files interface {
	// Path returns a local file with the content of an artifact, or of a file
	// that was given by URL.
	Path(ctx context.Context, artifact string) (string, error)
	// Put keeps the content of a reader and returns its artifact.
	Put(ctx context.Context, name string, from io.Reader) (artifact string, err error)
}

type filesKey struct{}

// WithFiles gives handlers the means to use artifacts: for workers and tests.
func WithFiles(ctx context.Context, f Files) context.Context {
	return context.WithValue(ctx, filesKey{}, f)
}

var errNoFiles = errors.New("this worker keeps no artifacts")

// ArtifactPath returns a local file with the content of an artifact, a text as
// artifact://sha256/... that another job returned, or artifact+https://..., a
// URL that a run was given for a file, which is fetched for the attempt. Do not
// change the file: it may be the only copy.
func ArtifactPath(ctx context.Context, artifact string) (string, error) {
	f, ok := ctx.Value(filesKey{}).(Files)
	if !ok {
		return "", Permanent(errNoFiles)
	}
	return f.Path(ctx, artifact)
}

// PutArtifact keeps what a reader gives as an artifact, which the handler may
// return for other jobs to use. name is that of the file. It is deleted with
// the run, unless the job says how long to keep it.
func PutArtifact(ctx context.Context, name string, from io.Reader) (artifact string, err error) {
	f, ok := ctx.Value(filesKey{}).(Files)
	if !ok {
		return "", Permanent(errNoFiles)
	}
	return f.Put(ctx, name, from)
}
