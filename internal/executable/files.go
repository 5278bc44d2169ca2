package executable

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/run"
)

// made begins a text of a result that names a file of the working directory.
const made = "artifact:"

// fetched puts the paths of local files in the place of artifacts, and of files
// that were given by URL, so that a program needs to know nothing of them.
func fetched(ctx context.Context, inputs json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(inputs, []byte(`"artifact:`)) && !bytes.Contains(inputs, []byte(`"artifact+http`)) {
		return inputs, nil
	}
	return replaced(inputs, func(text string) (string, error) {
		if _, ok := run.FileURL(text); !ok && !strings.HasPrefix(text, "artifact://") {
			return text, nil
		}
		return job.ArtifactPath(ctx, text)
	})
}

// kept makes artifacts of the files that a result names as artifact:NAME.
func kept(ctx context.Context, result json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(result, []byte(`"`+made)) {
		return result, nil
	}
	return replaced(result, func(text string) (string, error) {
		name, ok := strings.CutPrefix(text, made)
		if !ok || strings.HasPrefix(name, "//") {
			return text, nil
		}
		f, err := OpenIn(job.Info(ctx).Dir, name)
		if err != nil {
			return "", job.Permanent(job.Code(fmt.Errorf("the result names %q: %w", text, err), "badResult"))
		}
		defer func() { _ = f.Close() }()
		return job.PutArtifact(ctx, name, f)
	})
}

// replaced changes the texts of a JSON document, but no keys.
func replaced(document json.RawMessage, change func(string) (string, error)) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, job.Permanent(err)
	}
	var walk func(v any) (any, error)
	walk = func(v any) (any, error) {
		var err error
		switch v := v.(type) {
		case string:
			return change(v)
		case []any:
			for i := range v {
				if v[i], err = walk(v[i]); err != nil {
					return nil, err
				}
			}
		case map[string]any:
			for k := range v {
				if v[k], err = walk(v[k]); err != nil {
					return nil, err
				}
			}
		}
		return v, nil
	}
	v, err := walk(v)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, job.Permanent(err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// OpenIn opens a regular file of a folder in which a program may have left
// anything: links that lead out are not followed, and pipes are not waited for.
func OpenIn(dir, name string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder: %w", err)
	}
	defer func() { _ = root.Close() }()
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("the file %s is not there, or a link that leads out of the folder", name)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return f, nil
}
