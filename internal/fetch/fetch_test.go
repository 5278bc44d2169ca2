package fetch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/pkg/job"
)

// library is a server with some files.
func library(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/clips/a.mp4", "/":
			_, _ = io.WriteString(w, "0123456789")
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		case "/broken":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "0123456789")
		case "/moved":
			http.Redirect(w, r, "/clips/a.mp4", http.StatusFound)
		case "/stuck":
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestFilesAreFetchedWithinLimits(t *testing.T) {
	t.Parallel()
	at := library(t)
	tests := []struct {
		name, address string
		max           int64
		want, code    string
		permanent     bool
	}{
		{"a file", at + "/clips/a.mp4", 10, "a.mp4 0123456789", "", false},
		{"a file that has moved", at + "/moved", 10, "a.mp4 0123456789", "", false},
		{"a file without a name", at + "/", 10, "download 0123456789", "", false},
		{"one byte too many, as was said before", at + "/clips/a.mp4", 9, "", "tooLarge", true},
		{"too many, which is seen on the way", at + "/endless", 1 << 20, "", "tooLarge", true},
		{"a file that breaks off", at + "/broken", 1000, "", "connection", false},
		{"a file that is not there", at + "/none", 10, "", "http:404", true},
		{"no server", "http://127.0.0.1:1/a", 10, "", "connection", false},
		{"another scheme", "file:///etc/hostname", 10, "", "badInput", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := take(t.Context(), Config{AllowPrivate: true, Max: test.max}, test.address, t.TempDir())
			if test.code == "" {
				if err != nil || got != test.want {
					t.Errorf("it gives %q, %v", got, err)
				}
				return
			}
			if err == nil {
				t.Fatalf("it gives %q", got)
			}
			if f := job.Classify(err); f.Code != test.code || f.Permanent != test.permanent {
				t.Errorf("it fails with %+v", f)
			}
		})
	}
}

func take(ctx context.Context, c Config, address, dir string) (string, error) {
	f, err := c.Open(ctx, address)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	path, size, err := f.Save(dir)
	if err != nil {
		return "", err
	}
	raw, err := os.ReadFile(path)
	if err == nil && int64(len(raw)) != size {
		err = errors.New("the size is wrong")
	}
	return f.Name + " " + string(raw), err
}

func TestAFileThatNeverComesIsGivenUp(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	ctx, stop := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, enough)
	defer stop()
	if _, err := take(ctx, Config{AllowPrivate: true}, library(t)+"/stuck", t.TempDir()); !errors.Is(err, enough) {
		t.Errorf("it ends with %v", err)
	}
}

func TestPrivateAddressesNeedALeave(t *testing.T) {
	t.Parallel()
	_, err := take(t.Context(), Config{}, library(t)+"/clips/a.mp4", t.TempDir())
	if err == nil || job.Classify(err).Code != "privateAddress" || !strings.Contains(err.Error(), "ORCHIS_ALLOW_PRIVATE") {
		t.Errorf("it gives %v", err)
	}
}
