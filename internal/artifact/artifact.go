// Package artifact keeps files that jobs hand to one another, named by their
// content, in a folder that the workers share or in an object store that speaks
// S3.
package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"time"
)

// Scheme begins every artifact as it stands in values.
const Scheme = "artifact://sha256/"

// ErrNotFound says that a store does not have an artifact, or no longer.
var ErrNotFound = errors.New("no such artifact, or no longer")

// Ref names an artifact: artifact://sha256/<64 hex digits>/<name>.
type Ref struct {
	Digest string
	// Name is what the file was called; it is for people and programs that look
	// at the ending, and may be empty.
	Name string
}

var (
	form = regexp.MustCompile(`^artifact://sha256/([0-9a-f]{64})(?:/([A-Za-z0-9_][A-Za-z0-9._-]{0,99}))?$`)
	some = regexp.MustCompile(`artifact://sha256/([0-9a-f]{64})`)
	odd  = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
)

// Is reports whether a text means to name an artifact.
func Is(text string) bool { return strings.HasPrefix(text, "artifact://") }

// Parse reads the name of an artifact.
func Parse(text string) (Ref, error) {
	m := form.FindStringSubmatch(text)
	if m == nil {
		return Ref{}, fmt.Errorf("%.100q names no artifact: want %s, 64 hex digits and perhaps a name", text, Scheme)
	}
	return Ref{Digest: m[1], Name: m[2]}, nil
}

// String is the form that stands in values.
func (r Ref) String() string {
	if r.Name == "" {
		return Scheme + r.Digest
	}
	return Scheme + r.Digest + "/" + r.Name
}

// Find returns the digests of all artifacts that are named in a JSON text.
func Find(text []byte) []string {
	var out []string
	for _, m := range some.FindAllSubmatch(text, -1) {
		out = append(out, string(m[1]))
	}
	return out
}

// clean makes a file's name fit into a Ref.
func clean(name string) string {
	name = strings.TrimLeft(odd.ReplaceAllString(path.Base(name), "-"), ".-")
	if len(name) > 100 {
		name = name[len(name)-100:] // the ending matters
		name = strings.TrimLeft(name, ".-")
	}
	return name
}

// Entry is an artifact in a store.
type Entry struct {
	Digest string
	Size   int64
	// Used is when it was last put.
	Used time.Time
}

// Store keeps artifacts.
type Store interface {
	// Put keeps what a reader gives, under a name made of its content. Putting
	// the same again makes it young.
	Put(ctx context.Context, name string, from io.Reader) (Ref, int64, error)
	// Path returns a file with the content, which was held against its digest.
	// The file is not to be changed; where the store is elsewhere, it is
	// fetched into dir.
	Path(ctx context.Context, ref Ref, dir string) (string, error)
	// Open reads an artifact.
	Open(ctx context.Context, ref Ref) (io.ReadCloser, error)
	// Walk calls do for every artifact.
	Walk(ctx context.Context, do func(Entry) error) error
	// Remove deletes an artifact, unless it was put after a time.
	Remove(ctx context.Context, digest string, before time.Time) error
	// Owner is the installation that may delete artifacts here, and Own says
	// which it is; empty when none has said so.
	Owner(ctx context.Context) (string, error)
	Own(ctx context.Context, owner string) error
}

// Open returns the store of a setting: the path of a folder, or
// s3://bucket/folder?endpoint=https://host:port&region=name. Installations with
// different prefixes share nothing.
func Open(setting, prefix string) (Store, error) {
	if prefix == "" {
		prefix = "orchis"
	}
	if strings.HasPrefix(setting, "s3://") {
		return openS3(setting, prefix)
	}
	if setting == "" || strings.Contains(setting, "://") {
		return nil, fmt.Errorf("%q is neither the path of a folder nor s3://bucket", setting)
	}
	return newFolder(setting, prefix), nil
}
