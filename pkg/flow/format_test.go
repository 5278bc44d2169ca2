package flow

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func formatted(t *testing.T, l *Loader, file string, text []byte) string {
	t.Helper()
	out, diags, err := l.Format(file, text)
	if err != nil || diags.HasErrors() {
		t.Fatalf("%s: %v %v", file, err, diags.Err())
	}
	return string(out)
}

// TestFormat: order, quotes, tabs, blanks; comments stay where they belong.
func TestFormat(t *testing.T) {
	t.Parallel()
	l, err := NewLoader(Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	const text = "# the head stays\n\n\n# the jobs\njobs:\n\n  # of b\n  b:\n    inputs:\n      n: ${a.n + 1}   \n      m: ${a.n}\n    # why b waits\n    dependsOn: [a]\n    job: debug # with a remark\n  a: { job: debug, inputs: { n: 1 } }\n\nname: x\n# last\noutputs: ${b.n}"
	const want = "# the head stays\n\nname: x\n# the jobs\njobs:\n\n  # of b\n  b:\n    job: debug # with a remark\n    # why b waits\n    dependsOn: [a]\n    inputs:\n      n: \"${a.n + 1}\"\n      m: ${a.n}\n  a: { job: debug, inputs: { n: 1 } }\n\n# last\noutputs: ${b.n}\n"
	if diff := cmp.Diff(want, formatted(t, l, "flows/x.yaml", []byte(text))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFormatKeepsMeaning: every definition there is here means the same after
// it, keeps all its comments, and does not change any more.
func TestFormatKeepsMeaning(t *testing.T) {
	t.Parallel()
	l, err := NewLoader(Options{Root: "../.."})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	n := 0
	for _, root := range []string{"../../recipes", "../../flows", "testdata/good"} {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(path) != ".yaml" {
				return nil //nolint:nilerr // a folder that is not there has no files
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			key := strings.TrimPrefix(path, "../../")
			if _, diags := l.LoadText(key, text); diags.HasErrors() {
				return nil
			}
			once := formatted(t, l, key, text)
			if diff := cmp.Diff(once, formatted(t, l, key, []byte(once))); diff != "" {
				t.Errorf("%s changes again (-once +twice):\n%s", path, diff)
			}
			if a, b := strings.Count(string(text), "#"), strings.Count(once, "#"); a != b {
				t.Errorf("%s had %d comments and has %d", path, a, b)
			}
			if diff := cmp.Diff(string(text), once); diff != "" && root != "testdata/good" {
				t.Errorf("%s is not in its usual form, orchis fmt (-is +should be):\n%s", path, diff)
			}
			n++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < 20 {
		t.Errorf("only %d definitions were tried", n)
	}
}
