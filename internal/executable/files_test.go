package executable

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/pkg/job"
)

// drawer is a store of artifacts that has one file.
type drawer struct {
	path  string
	put   map[string]string
	asked string
}

func (d *drawer) Path(_ context.Context, text string) (string, error) {
	d.asked = text
	return d.path, nil
}

func (d *drawer) Put(_ context.Context, name string, from io.Reader) (string, error) {
	raw, err := io.ReadAll(from)
	d.put[name] = string(raw)
	return "artifact://sha256/made/" + name, err
}

func TestProgramsSeeFilesInPlaceOfArtifacts(t *testing.T) {
	t.Parallel()
	jobs := t.TempDir()
	const program = `#!/bin/sh
file=$(sed 's/.*"file":"\([^"]*\)".*/\1/')
tr a-z A-Z < "$file" > loud.txt
echo '{"n":12345678901234567890,"files":["artifact:loud.txt","artifact://sha256/x"],"text":"artifact"}'
`
	if err := os.WriteFile(filepath.Join(jobs, "shout.sh"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(jobs, "lie.sh"), []byte("#!/bin/sh\necho '{\"f\":\"artifact:../secret\"}'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := job.NewRegistry()
	if err := Register(r, jobs, Limits{}, nil); err != nil {
		t.Fatal(err)
	}
	in := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(in, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &drawer{path: in, put: map[string]string{}}
	ctx := job.WithFiles(job.NewContext(t.Context(), job.Attempt{Dir: t.TempDir()}, nil), d)
	shout, _ := r.Lookup("shout")
	out, err := shout.Run(ctx, json.RawMessage(`{"file":"artifact://sha256/abc/in.txt"}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"files":["artifact://sha256/made/loud.txt","artifact://sha256/x"],"n":12345678901234567890,"text":"artifact"}`
	if string(out) != want || d.put["loud.txt"] != "HELLO" {
		t.Errorf("the result is %s, kept is %v", out, d.put)
	}
	if out, err = shout.Run(ctx, json.RawMessage(`{"file":"artifact+https://example.org/in.txt"}`)); err != nil || string(out) != want || d.asked != "artifact+https://example.org/in.txt" {
		t.Errorf("of a file that was given by URL it is %s, %v; %q was asked for", out, err, d.asked)
	}
	lie, _ := r.Lookup("lie")
	_, err = lie.Run(ctx, json.RawMessage(`{}`))
	if err == nil || job.Classify(err).Code != "badResult" || !strings.Contains(err.Error(), "artifact:../secret") {
		t.Errorf("a file outside gives %v", err)
	}
}
