package artifact

import (
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// stores are a folder, and a bucket of a server in this process.
func stores(t *testing.T) map[string]Store {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("files"); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(srv.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "user")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "a secret")
	out := map[string]Store{}
	for name, setting := range map[string]string{"folder": t.TempDir(), "s3": "s3://files/team?region=us-east-1&endpoint=" + srv.URL} {
		s, err := Open(setting, "orchis")
		if err != nil {
			t.Fatal(err)
		}
		out[name] = s
	}
	return out
}

func TestAStoreKeepsFilesByContent(t *testing.T) { //nolint:paralleltest // it sets the environment
	for name, s := range stores(t) { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if err := s.Walk(ctx, func(e Entry) error { return errors.New("an empty store has " + e.Digest) }); err != nil {
				t.Fatal(err)
			}
			ref, n, err := s.Put(ctx, "my clip (1).mkv", strings.NewReader("hello"))
			if err != nil || n != 5 {
				t.Fatal(n, err)
			}
			const want = "artifact://sha256/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824/my-clip-1-.mkv"
			if ref.String() != want {
				t.Errorf("it is %s", ref)
			}
			again, err := Parse(ref.String())
			if err != nil || again != ref {
				t.Errorf("%s is read as %v (%v)", ref, again, err)
			}
			path, err := s.Path(ctx, ref, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != "hello" {
				t.Errorf("the file holds %q (%v)", text, err)
			}
			if same, _, err := s.Put(ctx, "other", strings.NewReader("hello")); err != nil || same.Digest != ref.Digest {
				t.Errorf("the same content is %v (%v)", same, err)
			}
			entries := 0
			if err := s.Walk(ctx, func(Entry) error { entries++; return nil }); err != nil || entries != 1 {
				t.Errorf("there are %d entries (%v)", entries, err)
			}
			if err := s.Remove(ctx, ref.Digest, time.Now().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
			r, err := s.Open(ctx, ref)
			if err != nil {
				t.Fatalf("a young artifact is removed: %v", err)
			}
			if text, err := io.ReadAll(r); err != nil || string(text) != "hello" {
				t.Errorf("it reads %q (%v)", text, err)
			}
			_ = r.Close()
			if err := s.Remove(ctx, ref.Digest, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Open(ctx, ref); !errors.Is(err, ErrNotFound) {
				t.Errorf("after it was removed: %v", err)
			}
			if _, err := s.Path(ctx, ref, t.TempDir()); !errors.Is(err, ErrNotFound) {
				t.Errorf("after it was removed: %v", err)
			}
			if owner, err := s.Owner(ctx); err != nil || owner != "" {
				t.Errorf("the owner is %q (%v)", owner, err)
			}
			if err := s.Own(ctx, "epoch-1"); err != nil {
				t.Fatal(err)
			}
			if owner, err := s.Owner(ctx); err != nil || owner != "epoch-1" {
				t.Errorf("the owner is %q (%v)", owner, err)
			}
		})
	}
}

func TestADamagedFileIsNoticed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(dir, "x")
	if err != nil {
		t.Fatal(err)
	}
	ref, _, err := s.Put(t.Context(), "a", strings.NewReader("good"))
	if err != nil {
		t.Fatal(err)
	}
	path, err := s.Path(t.Context(), ref, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("evil"), 0o600), os.Chtimes(path, time.Time{}, time.Now().Add(time.Second))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Path(t.Context(), ref, ""); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("a damaged file gives %v", err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "x", "tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("%d files are left behind (%v)", len(left), err)
	}
}

func TestSettingsOfAStore(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "http://x", "s3://", "s3://b?endpoint=ftp://x", "s3://b?token=1", "s3://key:secret@b"} {
		if _, err := Open(bad, ""); err == nil {
			t.Errorf("%q is taken", bad)
		} else if strings.Contains(err.Error(), "secret@") {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
	for _, text := range []string{"artifact://sha256/abc", Scheme + strings.Repeat("a", 64) + "/../x", Scheme + strings.Repeat("A", 64), "x" + Scheme + strings.Repeat("a", 64)} {
		if ref, err := Parse(text); err == nil {
			t.Errorf("%q is read as %v", text, ref)
		}
	}
	digest := strings.Repeat("0a", 32)
	if got := Find([]byte(`{"a":["artifact://sha256/` + digest + `/x.mkv"],"b":"artifact://sha256/12"}`)); len(got) != 1 || got[0] != digest {
		t.Errorf("found are %v", got)
	}
}
