package validate

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
)

// TestTheReleaseIsValid reads .goreleaser.yaml as goreleaser does, and holds it
// against the repository.
func TestTheReleaseIsValid(t *testing.T) {
	t.Parallel()
	p, err := config.Load("../../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var built []string
	for _, b := range p.Builds {
		built = append(built, b.Binary)
		if _, err := os.Stat(filepath.Join("../..", b.Main, "main.go")); err != nil {
			t.Errorf("%s: %v", b.ID, err)
		}
	}
	slices.Sort(built)
	commands, err := os.ReadDir("../../cmd")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range commands {
		want = append(want, c.Name())
	}
	if !slices.Equal(built, want) {
		t.Errorf("built are %v, there are %v", built, want)
	}
	if len(p.Archives) != 1 || p.Checksum.NameTemplate == "" || len(p.SBOMs) == 0 {
		t.Error("archives, checksums or SBOMs are missing")
	}
	made := strings.Join(p.Before.Hooks, "\n")
	for _, f := range p.Archives[0].Files {
		folder, _, _ := strings.Cut(f.Source, "*")
		if _, err := os.Stat(filepath.Join("../..", folder)); err != nil && !strings.Contains(made, strings.TrimSuffix(folder, "/")) {
			t.Errorf("the archive has %s, which nobody makes", f.Source)
		}
	}
	for _, d := range p.DockersV2 {
		checkImage(t, d, built)
	}
	if len(p.DockersV2) != 2 {
		t.Errorf("there are %d images", len(p.DockersV2))
	}
}

// checkImage holds an image of the release against its Dockerfile, and that
// against the one that builds from source.
func checkImage(t *testing.T, d config.DockerV2, built []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", d.Dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	given := append(slices.Clone(d.ExtraFiles), d.IDs...)
	for _, copied := range regexp.MustCompile(`(?m)^COPY (.*) \S+$`).FindAllStringSubmatch(string(text), -1) {
		for _, what := range strings.Fields(copied[1]) {
			if name := strings.TrimPrefix(what, "$TARGETPLATFORM/"); !strings.HasPrefix(what, "--") && !slices.Contains(given, name) {
				t.Errorf("%s copies %s, which is not among %v", d.Dockerfile, what, given)
			}
		}
	}
	for _, id := range d.IDs {
		if !slices.Contains(built, id) {
			t.Errorf("the image %s wants %s, which is not built", d.ID, id)
		}
	}
	source, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		same := regexp.MustCompile(`^(ENV|USER|WORKDIR|EXPOSE|ENTRYPOINT|HEALTHCHECK|RUN|FROM| &&)`).MatchString(line)
		line = strings.TrimSuffix(line, "\n")
		if same && !strings.Contains(string(source), line) {
			t.Errorf("%s says %q, deploy/Dockerfile does not", d.Dockerfile, line)
		}
	}
}
