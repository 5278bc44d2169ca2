package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestTheWorkflowRunsWhatProvesAChange on Debian 12 with the Go of go.mod, and
// may change nothing.
func TestTheWorkflowRunsWhatProvesAChange(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../.github/workflows/ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var flow struct {
		Name string
		On   struct {
			Push        struct{ Branches []string }
			PullRequest any `yaml:"pull_request"`
		}
		Permissions map[string]string
		Concurrency struct {
			Group  string
			Cancel bool `yaml:"cancel-in-progress"`
		}
		Jobs map[string]struct {
			RunsOn    string `yaml:"runs-on"`
			Timeout   int    `yaml:"timeout-minutes"`
			Container struct{ Image, Options string }
			Steps     []struct{ Uses, Run string }
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&flow); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(flow.On.Push.Branches, "main") || !bytes.Contains(text, []byte("\n  pull_request:\n")) {
		t.Errorf("it runs on %+v", flow.On)
	}
	if len(flow.Permissions) != 1 || flow.Permissions["contents"] != "read" {
		t.Errorf("it may do %v", flow.Permissions)
	}
	job, there := flow.Jobs["check"]
	if !there || len(flow.Jobs) != 1 || job.Timeout == 0 || job.RunsOn == "" {
		t.Fatalf("its jobs are %+v", flow.Jobs)
	}
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)
	if want := "golang:" + string(language[1]) + "-bookworm"; job.Container.Image != want {
		t.Errorf("it runs in %s, want %s", job.Container.Image, want)
	}
	ran := false
	for _, s := range job.Steps {
		ran = ran || s.Run == "bash .ci/run"
		if s.Uses != "" && !regexp.MustCompile(`^actions/[a-z-]+@v\d+$`).MatchString(s.Uses) {
			t.Errorf("it uses %s, which is not of one version", s.Uses)
		}
	}
	if !ran {
		t.Errorf("no step runs .ci/run: %+v", job.Steps)
	}
	if out, err := exec.CommandContext(t.Context(), "bash", "-n", "../.ci/run").CombinedOutput(); err != nil {
		t.Errorf("bash does not read .ci/run: %v\n%s", err, out)
	}
}
