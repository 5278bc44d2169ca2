package cli

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var exampleWord = regexp.MustCompile(`'[^']*'|[^\s']+`)

// TestExamplesAreRightCommandLines: each command has some, and reads them.
func TestExamplesAreRightCommandLines(t *testing.T) {
	t.Parallel()
	root := (&app{}).command()
	for path := range examples() {
		if c, _, err := root.Find(strings.Fields(path)); err != nil || "orchis "+path != c.CommandPath() {
			t.Errorf("there is no command %s", path)
		}
	}
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			each(sub)
		}
		if !c.Runnable() || c.Hidden || c.Name() == "help" || c.Parent() != nil && c.Parent().Name() == "completion" {
			return
		}
		found := false
		for line := range strings.SplitSeq(c.Example, "\n") {
			line, _, _ = strings.Cut(line, " | ")
			line, _, _ = strings.Cut(line, " && ")
			line = regexp.MustCompile(`\$\(orchis ([^)]*)\)`).ReplaceAllString(line, "x")
			var words []string
			for _, w := range exampleWord.FindAllString(line, -1) {
				words = append(words, strings.Trim(w, "'"))
			}
			if len(words) == 0 || words[0] != "orchis" {
				continue
			}
			fresh := (&app{}).command()
			got, rest, err := fresh.Find(words[1:])
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			found = found || got.CommandPath() == c.CommandPath()
			if err := got.ParseFlags(rest); err != nil {
				t.Errorf("%s: %v", line, err)
			} else if err := got.ValidateArgs(got.Flags().Args()); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
		if !found {
			t.Errorf("%s has no example", c.CommandPath())
		}
	}
	each(root)
}
