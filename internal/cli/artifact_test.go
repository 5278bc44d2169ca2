package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// TestFilesOfTheWebAreFetchedBeforeARun by who types the command; what cannot
// be fetched starts no run.
func TestFilesOfTheWebAreFetchedBeforeARun(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/clip") {
			http.NotFound(w, r)
			return
		}
		_, _ = fmt.Fprintf(w, "at %s", r.URL.Path)
	}))
	t.Cleanup(web.Close)
	dir := project(t, map[string]string{
		"recipes/look.yaml": "inputs:\n  film: {type: file}\n  more: {type: list, items: file, default: []}\n  set: {type: map, properties: {front: {type: file, required: false}}, required: false}\n" +
			"jobs:\n  look: {job: exec, inputs: {command: 'cat film; cat more/* 2>/dev/null || true', files: {film: '${inputs.film}', more: '${inputs.more}'}}}\noutputs: {text: '${look.stdout}', inputs: '${inputs}'}\n",
	})
	look := filepath.Join(dir, "recipes", "look.yaml")
	for _, test := range []struct {
		inputs []string
		code   int
		want   string // in what is printed
	}{
		{[]string{"film=" + web.URL + "/clip.txt"}, 0, "at /clip.txt"},
		{[]string{"film=" + web.URL + "/clip.txt"}, 0, "artifact://sha256/d41cce9e400266848d82344e5461c3be630e10874863f8958ccdc96908790f16/clip.txt"},
		{[]string{"film=" + web.URL + "/clip1", "more=" + web.URL + "/clip2," + web.URL + "/clip3"}, 0, "at /clip1at /clip2at /clip3"},
		{[]string{"film=" + look, `set={"front":"` + web.URL + `/clip.jpg"}`}, 0, "/clip.jpg"},
		{[]string{"film=" + web.URL + "/none"}, 4, `input "film": fetch the file: the server answers 404 Not Found`},
		{[]string{"film=ftp://example.org/a"}, 3, `expected a path, an artifact or a URL with http or https`},
	} {
		args := []string{"run", look, "--progress", "quiet"}
		for _, in := range test.inputs {
			args = append(args, "-i", in)
		}
		out, errs, code := typed(t.Context(), t, "", args...)
		if code != test.code || !strings.Contains(out+errs, test.want) {
			t.Errorf("with %v it ends with %d:\n%s%s", test.inputs, code, out, errs)
		}
		if code == 0 && (!strings.Contains(out, "artifact://sha256/") || strings.Contains(out, "artifact+")) {
			t.Errorf("with %v the inputs are no artifacts: %s", test.inputs, out)
		}
	}
	out, errs, code := typed(t.Context(), t, "", "artifact", "put", web.URL+"/clip.txt")
	if code != 0 || !strings.HasSuffix(out, "/clip.txt\n") {
		t.Fatalf("put ends with %d: %s%s", code, out, errs)
	}
	if got, _, code := typed(t.Context(), t, "", "artifact", "get", strings.TrimSpace(out), "--to", "-"); code != 0 || got != "at /clip.txt" {
		t.Errorf("get ends with %d: %s", code, got)
	}
}
