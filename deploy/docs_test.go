package deploy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/orchis-run/orchis/internal/redistest"
)

// page returns the blocks of docs/deploy.md of a language.
func page(t *testing.T, lang string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if m[1] == lang {
			blocks = append(blocks, m[2])
		}
	}
	return blocks
}

// TestTheDeployPageIsTrue follows docs/deploy.md from top to bottom, in the
// place of somebody who has never seen Orchis.
func TestTheDeployPageIsTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	said := map[string]string{}
	for _, block := range page(t, "sh") {
		first, _, _ := strings.Cut(block, "\n")
		said[first] = w.shell(block)
		if strings.HasPrefix(block, "make up") {
			w.welcomed(said[first])
		}
	}
	const compose = "docker compose -f deploy/docker-compose.yml "
	submitted := said[compose+"exec orchestrator orchis submit hello --wait"]
	if !strings.Contains(submitted, `"best": "centre"`) || !strings.Contains(submitted, "RECIPE") {
		t.Errorf("the first run says %s", submitted)
	}
	if looked := said[compose+"up --detach --wait --scale worker=3"]; !strings.Contains(looked, "worker-3") || !strings.Contains(looked, "worker is ready") {
		t.Errorf("three workers look like %s", looked)
	}
	if n := len(w.stack.all()); n != 0 {
		t.Errorf("after make down %d containers are there", n)
	}
	if !slices.Equal(w.enabled, []string{"orchis-orchestrator", "orchis-worker@1", "orchis-worker@2"}) {
		t.Errorf("enabled are %v", w.enabled)
	}
	for _, file := range units {
		u := unit(t, file)
		for _, want := range []string{u["ExecStart"][0], "/srv/orchis/recipes/hello.yaml", "/srv/orchis/jobs/fetchData.sh", "/etc/orchis"} {
			if _, err := os.Stat(filepath.Join(w.root, want)); err != nil {
				t.Errorf("%s is not installed: %v", file, err)
			}
		}
	}
	w.knows(t)
}

// welcomed checks what make up has made and says.
func (w *world) welcomed(said string) {
	w.t.Helper()
	info, err := os.Stat(filepath.Join(w.project, "deploy", ".env"))
	if err != nil || info.Mode().Perm() != 0o600 {
		w.t.Fatalf("deploy/.env is %v, %v", info, err)
	}
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(said)
	token := regexp.MustCompile(`(?m)^token: +([0-9a-f]{64})$`).FindStringSubmatch(said)
	if address == "" || token == nil {
		w.t.Fatalf("make up says %s", said)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token[1])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		w.t.Errorf("the dashboard of make up answers %s", res.Status)
	}
	if again := w.shell("make up"); again != said {
		w.t.Errorf("a second make up says %s, the first said %s", again, said)
	}
	run := regexp.MustCompile(`(?m)^a run: +(.*)$`).FindStringSubmatch(said)
	if run == nil || !strings.Contains(w.shell(run[1]), "centre") {
		w.t.Errorf("the run that make up proposes is %v", run)
	}
}

// knows checks that the objects that kubectl is told about are those of the
// manifests.
func (w *world) knows(t *testing.T) {
	t.Helper()
	all := strings.Join(w.applied, "\n")
	for _, found := range regexp.MustCompile(`\b(deployment|service)/([a-z]+)`).FindAllStringSubmatch(all, -1) {
		text, err := os.ReadFile("kubernetes/base/" + found[2] + ".yaml")
		want := regexp.MustCompile(`(?i)kind: ` + found[1] + `\nmetadata: \{ name: ` + found[2] + ` \}`)
		if err != nil || !want.Match(text) {
			t.Errorf("there is no %s: %v", found[0], err)
		}
	}
	for _, want := range []string{"kind load docker-image orchis-orchestrator orchis-worker", "kubectl apply -k deploy/kubernetes/trial", "orchis submit greeting --wait", "kubectl -n orchis "} {
		if !strings.Contains(all, want) {
			t.Errorf("nobody says %q in\n%s", want, all)
		}
	}
}

// mounted writes files as a kubelet mounts them of a ConfigMap or a Secret: each
// is a link through a link that is exchanged when they change.
func mounted(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "..2026_11_25"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..2026_11_25", filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "..2026_11_25", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRecipesAndSecretsAsKubernetesMountsThem runs the recipe of the trial, and
// one with a secret, on files that are links.
func TestRecipesAndSecretsAsKubernetesMountsThem(t *testing.T) {
	t.Parallel()
	greeting, err := os.ReadFile("kubernetes/trial/recipes/greeting.yaml")
	if err != nil {
		t.Fatal(err)
	}
	project, secrets := t.TempDir(), t.TempDir()
	mounted(t, filepath.Join(project, "recipes"), map[string]string{
		"greeting.yaml": string(greeting),
		"secret.yaml":   "name: secret\njobs:\n  a:\n    job: exec\n    secrets: [KEY]\n    env: {KEY: '${secrets.KEY}'}\n    inputs: {command: 'test \"$KEY\" = hush && echo right', outputs: {said: text}}\noutputs: {said: '${a.said}'}\n",
	})
	mounted(t, secrets, map[string]string{"KEY": "hush"})
	for recipe, want := range map[string]string{"greeting": "Hello cluster", "secret": "right"} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(programs(t), "orchis"), "run", recipe, "--progress", "quiet")
		cmd.Dir = t.TempDir()
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + project, "ORCHIS_PROJECT=" + project, "ORCHIS_SECRETS_DIR=" + secrets}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", recipe, err, out)
		}
	}
}

// TestKEDAFindsTheWork: the streams of the ScaledObject hold what waits and what
// is done, whatever its priority, as the user of docs/deploy.md sees it, and
// nothing when all is done.
func TestKEDAFindsTheWork(t *testing.T) {
	t.Parallel()
	p, err := project(t, "docker-compose.yml", nil, token, fmt.Sprint("ORCHIS_PORT=", freePort(t)), fmt.Sprint("REDIS_PORT=", freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	s := newStack(t, p)
	if err := s.up(map[string]int{"worker": 1}); err != nil {
		t.Fatal(err)
	}
	redis := func(args ...string) string {
		out, errs, code := s.containers["redis"][0].run("", append([]string{"redis-cli"}, args...)...)
		if code != 0 || strings.Contains(out, "ERR") || strings.Contains(out, "NOPERM") {
			t.Fatalf("redis-cli %v: %s%s", args, out, errs)
		}
		return strings.TrimSpace(out)
	}
	user := strings.Fields(page(t, "")[0])
	redis(user...)
	length := func() (total int) {
		for _, stream := range streams(t) {
			out := redis("--user", "orchis-scaler", "--pass", "change-me-scaler", "--no-auth-warning", "XLEN", stream)
			var n int
			if _, err := fmt.Sscan(out, &n); err != nil {
				t.Fatal(err, out)
			}
			total += n
		}
		return total
	}
	if n := length(); n != 0 {
		t.Errorf("before there is work, KEDA sees %d", n)
	}
	var definition strings.Builder
	definition.WriteString("jobs:\n")
	for _, priority := range []string{"high", "normal", "low"} {
		fmt.Fprintf(&definition, "  %s: {job: sleep, priority: %s, iterate: [1, 2, 3, 4], inputs: {duration: 10m}}\n", priority, priority)
	}
	redis("XADD", "orchis:submit", "*", "definition", definition.String(), "id", "work")
	redistest.Until(t, "KEDA sees all twelve tasks, four of which a worker has", func() bool { return length() == 12 })
	if _, errs, code := s.orchis("cancel", "work"); code != 0 {
		t.Error(errs)
	}
	redistest.Until(t, "KEDA sees nothing any more", func() bool { return length() == 0 })
}

// streams are those of the ScaledObject.
func streams(t *testing.T) (out []string) {
	t.Helper()
	text, err := os.ReadFile("keda/scaledobject.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Spec struct {
			Triggers []struct {
				Metadata struct {
					Stream string `yaml:"stream"`
				} `yaml:"metadata"`
			} `yaml:"triggers"`
		} `yaml:"spec"`
	}
	if err := yaml.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	for _, trigger := range o.Spec.Triggers {
		out = append(out, trigger.Metadata.Stream)
	}
	if len(out) != 3 {
		t.Fatalf("streams are %v", out)
	}
	return out
}

// TestTheDevcontainerHasWhatTestsUse: the same as .ci/run installs.
func TestTheDevcontainerHasWhatTestsUse(t *testing.T) {
	t.Parallel()
	var c struct{ Image, PostCreateCommand string }
	text, err := os.ReadFile("../.devcontainer/devcontainer.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	ci, err := os.ReadFile("../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	has := strings.Fields(c.PostCreateCommand)
	for _, line := range regexp.MustCompile(`install -y -qq --no-install-recommends (.*)`).FindAllStringSubmatch(string(ci), -1) {
		for name := range strings.FieldsSeq(line[1]) {
			if !slices.Contains([]string{"ca-certificates", "git", "make"}, name) && !slices.Contains(has, name) {
				t.Errorf("the devcontainer has no %s", name)
			}
		}
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(mod))[1]
	for _, text := range []string{c.Image, stages(t, "Dockerfile")["build"].base} {
		if !strings.Contains(text, ":"+version+"-") {
			t.Errorf("%s is not of Go %s", text, version)
		}
	}
}
