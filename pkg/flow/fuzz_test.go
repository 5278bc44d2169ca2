package flow

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// seeds gives a fuzz target all files that stand in testdata, and the samples.
func seeds(f *testing.F) {
	f.Helper()
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/project/*/*.yaml", "../../flows/*.yaml", "../../recipes/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
}

// FuzzDefinition: whatever the text, there is a bundle that survives being
// stored, or at least one error, each with a place and words.
func FuzzDefinition(f *testing.F) {
	seeds(f)
	l, err := NewLoader(Options{Root: "testdata/project", MaxBytes: 64 << 10, MaxTasks: 1000})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = l.Close() })
	f.Fuzz(func(t *testing.T, text []byte) {
		b, diags := l.LoadText("fuzz.yaml", text)
		if _, err := json.Marshal(diags); err != nil {
			t.Fatal(err)
		}
		for _, d := range diags {
			if d.Message == "" || Codes()[d.Code] == "" || d.Line < 0 || d.Column < 0 {
				t.Fatalf("a diagnostic says nothing: %+v", d)
			}
		}
		if diags.HasErrors() {
			return
		}
		if b == nil || b.RootFlow() == nil {
			t.Fatal("neither errors nor a definition")
		}
		one, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeBundle(one)
		if err != nil {
			t.Fatalf("%v\n%s", err, one)
		}
		if two, err := again.Encode(); err != nil || !bytes.Equal(one, two) {
			t.Fatalf("the stored form changes (%v):\n%s\n%s", err, one, two)
		}
	})
}

// FuzzInputs reads YAML as --inputs does.
func FuzzInputs(f *testing.F) {
	seeds(f)
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = ParseYAML("fuzz.yaml", text) })
}

// FuzzDuration: what is read is no surprise.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"90s", "1h30m", "2d12h", "0.5d", "-1h", "NaNd", "infd", "1e300d", "9999999d", "106751d24h", "d", "", "1d1d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseDuration(s)
		if err == nil && (d > 200*365*24*time.Hour || d < -200*365*24*time.Hour) {
			t.Fatalf("%q is read as %s", s, d)
		}
	})
}
