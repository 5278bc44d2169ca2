// Package deploy checks the files of this folder.
package deploy

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/orchis-run/orchis/internal/config"
)

func project(t *testing.T, file string, env ...string) (*types.Project, error) {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{file}, cli.WithWorkingDirectory("."), cli.WithEnv(env))
	if err != nil {
		t.Fatal(err)
	}
	return o.LoadProject(t.Context())
}

func TestComposeFilesAreValid(t *testing.T) {
	t.Parallel()
	p, err := project(t, "docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	redis := strings.Join(p.Services["redis"].Command, " ")
	if !strings.Contains(redis, "--appendonly yes") || !strings.Contains(redis, "noeviction") {
		t.Errorf("redis runs as %s", redis)
	}
	checkServices(t, p, "orchestrator", "worker")
	if name := p.Services["worker"].ContainerName; name != "" {
		t.Errorf("the worker has the name %s and cannot be scaled", name)
	}
}

func TestTheWorkerOfAnotherMachineWantsARedis(t *testing.T) {
	t.Parallel()
	if _, err := project(t, "compose.worker.yml"); err == nil || !strings.Contains(err.Error(), "set REDIS_URL") {
		t.Errorf("without REDIS_URL: %v", err)
	}
	p, err := project(t, "compose.worker.yml", "REDIS_URL=redis://192.0.2.1:6379")
	if err != nil {
		t.Fatal(err)
	}
	checkServices(t, p, "worker")
}

// checkServices holds services against the Dockerfile and the settings.
func checkServices(t *testing.T, p *types.Project, names ...string) {
	t.Helper()
	dockerfile, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, s := range config.Describe() {
		known = append(known, s.Name)
	}
	for _, name := range names {
		s := p.Services[name]
		if s.Build == nil || !regexp.MustCompile(`(?m)^FROM .* AS `+s.Build.Target+`$`).Match(dockerfile) {
			t.Errorf("%s is built from %+v", name, s.Build)
		}
		for key := range s.Environment {
			if !slices.Contains(known, key) && !strings.HasPrefix(key, "AWS_") {
				t.Errorf("%s sets %s, which is no setting", name, key)
			}
		}
		if s.HealthCheck == nil || len(s.HealthCheck.Test) != 3 || s.HealthCheck.Test[2] != "healthcheck" {
			t.Errorf("%s has the health check %+v", name, s.HealthCheck)
		}
		if s.StopGracePeriod == nil {
			t.Fatalf("%s has no stop_grace_period", name)
		}
		if grace := s.Environment["ORCHIS_SHUTDOWN_GRACE"]; grace != nil {
			d, err := time.ParseDuration(*grace)
			if err != nil || time.Duration(*s.StopGracePeriod) < d+8*time.Second {
				t.Errorf("%s is killed %s after SIGTERM, its grace is %s", name, s.StopGracePeriod, *grace)
			}
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

func TestUnitsAreValid(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"orchis-orchestrator.service", "orchis-worker@.service"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var known []string
		for _, s := range config.Describe() {
			known = append(known, s.Name)
		}
		for _, name := range regexp.MustCompile(`(ORCHIS_[A-Z_]+)=`).FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(known, name[1]) {
				t.Errorf("%s sets %s, which is no setting", file, name[1])
			}
		}
		if _, err := exec.LookPath("systemd-analyze"); err == nil {
			out, _ := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", file).CombinedOutput()
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, file) && !strings.Contains(line, "is not executable") && !strings.Contains(line, "not found") {
					t.Errorf("%s", line)
				}
			}
		}
	}
}
