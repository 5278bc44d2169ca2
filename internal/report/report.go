// Package report lets a long test write what it saw into a page of the
// documentation.
package report

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Section replaces what stands between <!-- name --> and <!-- /name --> in the
// page that ORCHIS_REPORT names. Without that variable it does nothing.
func Section(name, text string) error {
	path := os.Getenv("ORCHIS_REPORT")
	if path == "" {
		return nil
	}
	page, err := os.ReadFile(path) //nolint:gosec // who runs the test names the page
	if err != nil {
		return fmt.Errorf("read the page for the report: %w", err)
	}
	from, to := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	head, rest, ok := bytes.Cut(page, []byte(from))
	_, tail, closed := bytes.Cut(rest, []byte(to))
	if !ok || !closed {
		return fmt.Errorf("%s has no section %q", path, name)
	}
	page = slices.Concat(head, []byte(from), []byte(strings.TrimSpace(text)+"\n"), []byte(to), tail)
	if err := os.WriteFile(path, page, 0o644); err != nil { //nolint:gosec // as above
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

var version = regexp.MustCompile(`v=(\S+)`)

// Machine says where and when.
func Machine(ctx context.Context) string {
	redis := "no redis-server"
	if out, err := exec.CommandContext(ctx, "redis-server", "--version").Output(); err == nil {
		if m := version.FindSubmatch(out); m != nil {
			redis = "Redis " + string(m[1])
		}
	}
	return fmt.Sprintf("%s, %d cores, %s, %s", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), strings.Replace(runtime.Version(), "go", "Go ", 1), redis)
}

// Counts writes numbers by name, the largest first.
func Counts(m map[string]int) string {
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			return m[b] - m[a]
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, m[name])
	}
	return strings.Join(names, ", ")
}
