// Package docs checks the pages of this folder, and all others of the project.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	code    = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	picture = regexp.MustCompile(`(?:src|srcset|href)="([^"]+)"`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	noWord  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// pages returns the text of all Markdown files by their path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && (path == "bin" || path == "node_modules" || len(path) > 1 && strings.HasPrefix(e.Name(), ".")) {
			return fs.SkipDir
		}
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := fs.ReadFile(root, path)
		all[path] = fence.ReplaceAllString(string(text), "")
		return err
	})
	if err != nil || len(all) < 20 {
		t.Fatalf("%d pages, %v", len(all), err)
	}
	return all
}

// anchors are those that GitHub makes of the headings of a page.
func anchors(text string) []string {
	var out []string
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(m[1], "$1")
		out = append(out, strings.ReplaceAll(noWord.ReplaceAllString(strings.ToLower(strings.TrimSpace(plain)), ""), " ", "-"))
	}
	return out
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	t.Parallel()
	all := pages(t)
	for path, text := range all {
		text = code.ReplaceAllString(text, "")
		links := append(link.FindAllStringSubmatch(text, -1), picture.FindAllStringSubmatch(text, -1)...)
		for _, m := range links {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
				if _, err := os.Stat(filepath.Join("..", target)); err != nil {
					t.Errorf("%s: the link %s leads nowhere", path, m[1])
					continue
				}
			}
			if anchor != "" && !slices.Contains(anchors(all[target]), anchor) {
				t.Errorf("%s: %s has no heading %q; it has %v", path, target, anchor, anchors(all[target]))
			}
		}
	}
}

func TestTheIndexNamesEveryPage(t *testing.T) {
	t.Parallel()
	all := pages(t)
	for path := range all {
		name, inDocs := strings.CutPrefix(path, "docs/")
		if inDocs && name != "README.md" && !strings.HasPrefix(name, "adr/") && !strings.Contains(all["docs/README.md"], "]("+name+")") {
			t.Errorf("docs/README.md says nothing of %s", path)
		}
	}
}

// TestThingsHaveOneName looks for other systems' words for what we call recipe,
// flow, job and task. The page beside other systems needs them, and inside the
// engine a step is what Step does.
func TestThingsHaveOneName(t *testing.T) {
	t.Parallel()
	other := regexp.MustCompile(`(?i)\b(workflows?|pipelines?|steps|(a|the|each|every|next|first) step|activity|activities)\b`)
	for path, text := range pages(t) {
		if path == "docs/comparison.md" || path == "ARCHITECTURE.md" || strings.HasPrefix(path, "docs/adr/") {
			continue
		}
		if word := other.FindString(code.ReplaceAllString(text, "")); word != "" {
			t.Errorf("%s says %q", path, word)
		}
	}
}
