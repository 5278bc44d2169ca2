package deploy

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/internal/config"
)

// project loads a compose file as docker compose does: from its folder, with
// the .env there, which the environment goes before.
func project(t *testing.T, file string, profiles []string, env ...string) (*types.Project, error) {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{file}, cli.WithWorkingDirectory(filepath.Dir(file)), cli.WithEnv(env), cli.WithEnvFiles(), cli.WithDotEnv, cli.WithProfiles(profiles))
	if err != nil {
		t.Fatal(err)
	}
	return o.LoadProject(t.Context())
}

const token = "ORCHIS_API_TOKEN=0123456789abcdef0123456789abcdef"

func TestComposeFilesAreValid(t *testing.T) {
	t.Parallel()
	p, err := project(t, "docker-compose.yml", nil, token)
	if err != nil {
		t.Fatal(err)
	}
	redis := strings.Join(p.Services["redis"].Command, " ")
	for _, want := range []string{"--appendonly yes", "--maxmemory-policy noeviction", "--maxmemory 1gb"} {
		if !strings.Contains(redis, want) {
			t.Errorf("redis runs as %s", redis)
		}
	}
	checkServices(t, p, "orchestrator", "worker")
	all, err := project(t, "docker-compose.yml", []string{"observability"}, token)
	if err != nil || len(all.Services) != 5 {
		t.Fatalf("%d services, %v", len(all.Services), err)
	}
	for name, s := range all.Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s can be reached from other machines: %+v", name, port)
			}
		}
		if s.ContainerName != "" {
			t.Errorf("%s has the name %s and cannot be scaled", name, s.ContainerName)
		}
		for on, how := range s.DependsOn {
			if how.Condition != types.ServiceConditionHealthy {
				t.Errorf("%s waits for %s until it is %s", name, on, how.Condition)
			}
		}
	}
	worker := p.Services["worker"]
	if len(worker.Ports) > 0 || worker.Init == nil || !*worker.Init || *worker.Deploy.Replicas != 2 {
		t.Errorf("the worker has ports %v, init %v, deploy %+v", worker.Ports, worker.Init, worker.Deploy)
	}
	if got := value(worker, "ORCHIS_API_TOKEN"); got != "" {
		t.Error("workers get the token of the API")
	}
	volume := func(service string) string {
		for _, v := range p.Services[service].Volumes {
			if v.Target == "/data" && v.Type == types.VolumeTypeVolume {
				return v.Source
			}
		}
		return ""
	}
	if w := volume("worker"); w == "" || w != volume("orchestrator") || w == volume("redis") {
		t.Errorf("artifacts are in %q, the orchestrator looks after %q", w, volume("orchestrator"))
	}
}

// TestObservabilityFindsItsFiles: with the profile, Prometheus gets its settings,
// its rules and the token, and Grafana the dashboard, where they look for them.
func TestObservabilityFindsItsFiles(t *testing.T) {
	t.Parallel()
	p, err := project(t, "docker-compose.yml", []string{"observability"}, token)
	if err != nil {
		t.Fatal(err)
	}
	read := func(service, path string) string {
		for _, v := range p.Services[service].Volumes {
			if rest, ok := strings.CutPrefix(path, v.Target); ok && v.Type == types.VolumeTypeBind {
				text, err := os.ReadFile(v.Source + rest)
				if err != nil {
					t.Error(err)
				}
				return string(text)
			}
		}
		t.Errorf("%s has no %s", service, path)
		return ""
	}
	config := read("prometheus", "/etc/prometheus/prometheus.yml")
	for _, want := range []string{"names: [orchestrator], type: A, port: 8420", "names: [worker], type: A, port: 8421", "rule_files: [alerts.yml]", "\n    authorization: { credentials_file: /run/secrets/orchis-token }"} {
		if !strings.Contains(config, want) {
			t.Errorf("prometheus.yml says nothing of %q", want)
		}
	}
	read("prometheus", "/etc/prometheus/alerts.yml")
	if s := p.Services["prometheus"].Secrets; len(s) != 1 || s[0].Source != "orchis-token" || token != "ORCHIS_API_TOKEN="+p.Secrets["orchis-token"].Content {
		t.Errorf("Prometheus gets the secrets %+v, which are %d", s, len(p.Secrets))
	}
	if source := read("grafana", "/etc/grafana/provisioning/datasources/prometheus.yml"); !strings.Contains(source, "url: http://prometheus:9090\n") {
		t.Errorf("Grafana asks elsewhere:\n%s", source)
	}
	boards := read("grafana", "/etc/grafana/provisioning/dashboards/orchis.yml")
	if home := value(p.Services["grafana"], "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"); read("grafana", home) == "" || !strings.Contains(boards, "path: "+filepath.Dir(home)+" ") {
		t.Errorf("Grafana looks for dashboards elsewhere than %s:\n%s", home, boards)
	}
}

// TestTheDashboardWantsAToken: without one the compose file says what to do, and
// without the compose file the orchestrator would.
func TestTheDashboardWantsAToken(t *testing.T) {
	t.Parallel()
	if _, err := project(t, "docker-compose.yml", nil); err == nil && missing(".env") || err != nil && !strings.Contains(err.Error(), "start with `make up`") {
		t.Errorf("without a token: %v", err)
	}
	p, err := project(t, "docker-compose.yml", nil, token)
	if err != nil {
		t.Fatal(err)
	}
	if listen := value(p.Services["orchestrator"], "ORCHIS_LISTEN"); api.Loopback(listen) {
		t.Errorf("the orchestrator listens on %s, where nothing outside of its container reaches it", listen)
	}
}

func missing(file string) bool {
	_, err := os.Stat(file)
	return err != nil
}

func value(s types.ServiceConfig, name string) string {
	if v := s.Environment[name]; v != nil {
		return *v
	}
	return ""
}

func TestTheWorkerOfAnotherMachineWantsARedis(t *testing.T) {
	t.Parallel()
	if _, err := project(t, "compose.worker.yml", nil); err == nil || !strings.Contains(err.Error(), "set REDIS_URL") {
		t.Errorf("without REDIS_URL: %v", err)
	}
	p, err := project(t, "compose.worker.yml", nil, "REDIS_URL=redis://192.0.2.1:6379")
	if err != nil {
		t.Fatal(err)
	}
	checkServices(t, p, "worker")
	if w := p.Services["worker"]; len(w.Ports) > 0 || w.ContainerName != "" {
		t.Errorf("the worker is %+v", w)
	}
}

// TestAnySettingMayStandInTheFile: what .env-example names reaches the services
// that are to have it, secrets of jobs the workers alone.
func TestAnySettingMayStandInTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, file := range []string{"docker-compose.yml", "compose.worker.yml"} {
		copyIn(t, file, filepath.Join(dir, file))
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	example, err := os.ReadFile("../.env-example")
	if err != nil {
		t.Fatal(err)
	}
	write(".env", strings.ReplaceAll(string(example), "# ORCHIS_", "ORCHIS_")+"\nORCHIS_RETENTION_AGE=24h\n"+token+"\nLOG_LEVEL=debug\n")
	write("worker.env", "ORCHIS_SECRET_BUCKET=hush\nAWS_SECRET_ACCESS_KEY=key\n")
	p, err := project(t, filepath.Join(dir, "docker-compose.yml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	o, w := p.Services["orchestrator"], p.Services["worker"]
	for _, s := range []types.ServiceConfig{o, w} {
		if value(s, "ORCHIS_RETENTION_AGE") != "24h" || value(s, "LOG_LEVEL") != "debug" || value(s, "ORCHIS_PROJECT") != "/project" || value(s, "REDIS_URL") != "redis://redis:6379" {
			t.Errorf("%s gets %s", s.Name, slices.Sorted(maps.Keys(s.Environment)))
		}
	}
	if value(w, "ORCHIS_SECRET_BUCKET") != "hush" || value(o, "ORCHIS_SECRET_BUCKET") != "" || value(w, "ORCHIS_API_TOKEN") != "" {
		t.Errorf("secrets are not where they belong: the orchestrator has %q", value(o, "ORCHIS_SECRET_BUCKET"))
	}
	if p, err = project(t, filepath.Join(dir, "compose.worker.yml"), nil, "REDIS_URL=redis://192.0.2.1:6379"); err != nil {
		t.Fatal(err)
	}
	if got := value(p.Services["worker"], "AWS_SECRET_ACCESS_KEY"); got != "key" {
		t.Errorf("the key of the file becomes %q", got)
	}
}

func settings() (names []string) {
	for _, s := range config.Describe() {
		names = append(names, s.Name)
	}
	return names
}

// checkServices holds services against the Dockerfile and the settings.
func checkServices(t *testing.T, p *types.Project, names ...string) {
	t.Helper()
	images, known := stages(t, "Dockerfile"), settings()
	for _, name := range names {
		s := p.Services[name]
		if s.Build == nil || s.Image != "orchis-"+s.Build.Target || images[s.Build.Target].name == "" {
			t.Errorf("%s is %s, built from %+v", name, s.Image, s.Build)
		}
		for key := range s.Environment {
			if !slices.Contains(known, key) && !strings.HasPrefix(key, "AWS_") {
				t.Errorf("%s sets %s, which is no setting", name, key)
			}
		}
		if s.HealthCheck == nil || !slices.Equal(s.HealthCheck.Test, []string{"CMD", name, "healthcheck"}) {
			t.Errorf("%s has the health check %+v", name, s.HealthCheck)
		}
		if s.Restart != types.RestartPolicyUnlessStopped || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s is not confined: restart %s, drops %v, %v", name, s.Restart, s.CapDrop, s.SecurityOpt)
		}
		if s.StopGracePeriod == nil {
			t.Fatalf("%s has no stop_grace_period", name)
		}
		if grace := value(s, "ORCHIS_SHUTDOWN_GRACE"); grace != "" {
			d, err := time.ParseDuration(grace)
			if err != nil || time.Duration(*s.StopGracePeriod) < d+8*time.Second {
				t.Errorf("%s is killed %s after SIGTERM, its grace is %s", name, s.StopGracePeriod, grace)
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
