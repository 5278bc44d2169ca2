package handlers

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/artifact"
)

// shelf is a store of artifacts as a worker has it.
type shelf struct{ artifact.Store }

func newShelf(t *testing.T) shelf {
	t.Helper()
	s, err := artifact.Open(filepath.Join(os.TempDir(), "orchis-test-shelf"), "test") // all tests share it
	if err != nil {
		t.Fatal(err)
	}
	return shelf{s}
}

func (s shelf) Path(ctx context.Context, text string) (string, error) {
	ref, err := artifact.Parse(text)
	if err != nil {
		return "", badInput("%v", err)
	}
	return s.Store.Path(ctx, ref, "")
}

func (s shelf) Put(ctx context.Context, name string, from io.Reader) (string, error) {
	ref, _, err := s.Store.Put(ctx, name, from)
	return ref.String(), err
}

// content reads an artifact.
func content(t *testing.T, text string) string {
	t.Helper()
	path, err := newShelf(t).Path(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestFilesTravelAsArtifacts(t *testing.T) {
	t.Parallel()
	made, failure, _ := runHandler(t, Config{}, "exec", `{"command":"echo one > a.txt; echo two > b.txt","outputs":{"one":"path a.*","all":"paths *.txt"}}`)
	const one = "artifact://sha256/2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806/a.txt"
	const two = "artifact://sha256/27dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a/b.txt"
	if want := `{"all":["` + one + `","` + two + `"],"exitCode":0,"one":"` + one + `"}`; made != want {
		t.Fatalf("made are %s (%+v)", made, failure)
	}
	used, failure, _ := runHandler(t, Config{}, "exec", `{"command":["cat","x/in.txt","b"],"files":{"x/in.txt":"`+one+`","b":"`+two+`"}}`)
	if want := `{"exitCode":0,"stdout":"one\ntwo\n"}`; used != want {
		t.Errorf("used they give %s (%+v)", used, failure)
	}
	listed, failure, _ := runHandler(t, Config{}, "exec", `{"command":"ls d; cat d/*","files":{"d":["`+two+`","`+one+`"]}}`)
	if want := `{"exitCode":0,"stdout":"00000.txt\n00001.txt\ntwo\none\n"}`; listed != want {
		t.Errorf("a list gives %s (%+v)", listed, failure)
	}
	again, failure, _ := runHandler(t, Config{}, "download", `{"url":"`+one+`"}`)
	if !strings.Contains(again, one) {
		t.Errorf("downloading one gives %s (%+v)", again, failure)
	}
	_, failure, _ = runHandler(t, Config{}, "exec", `{"command":"true","files":{"a":"`+strings.Replace(one, "2c8", "000", 1)+`"}}`)
	if !strings.Contains(failure.Message, "no such artifact") {
		t.Errorf("a missing one gives %+v", failure)
	}
}
