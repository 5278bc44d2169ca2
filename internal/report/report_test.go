package report_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/orchis-run/orchis/internal/report"
)

func TestASectionIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("# P\n<!-- a -->\nold\n<!-- /a -->\nend\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ORCHIS_REPORT", path)
	if err := report.Section("a", "new "+report.Counts(map[string]int{"x": 1, "y": 2})); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "# P\n<!-- a -->\nnew y 2, x 1\n<!-- /a -->\nend\n" {
		t.Errorf("the page is %q, %v", got, err)
	}
	if err := report.Section("b", "x"); err == nil {
		t.Error("a section that is not there is no error")
	}
}
