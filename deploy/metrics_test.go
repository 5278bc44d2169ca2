package deploy

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"gopkg.in/yaml.v3"

	"github.com/orchis-run/orchis/internal/config"
	"github.com/orchis-run/orchis/internal/daemon"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// expressions are the PromQL of the dashboard and of the alerts, by where they
// stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	raw, err := os.ReadFile("grafana/orchis.json")
	if err == nil {
		err = json.Unmarshal(raw, &board)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for i, target := range p.Targets {
			out["panel "+p.Title+" "+string(rune('A'+i))] = target.Expr
		}
	}
	for _, v := range board.Templating.List {
		if v.Definition != "" {
			out["variable "+v.Name] = strings.NewReplacer("label_values(", "count by (", ", ", ") (").Replace(swapped(v.Definition))
		}
	}
	for _, r := range rules(t) {
		out["alert "+r.Alert] = r.Expr
	}
	return out
}

// swapped turns label_values(metric, label) round.
func swapped(definition string) string {
	m := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(definition)
	if m == nil {
		return definition
	}
	return "label_values(" + m[2] + ", " + m[1] + ")"
}

type rule struct {
	Alert, Expr string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	raw, err := os.ReadFile("prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// families are the metrics of a process that has done a run.
func families(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	srv := redistest.Real(t)
	s := config.Settings{
		RedisURL: srv.URL, Prefix: "orchis", Project: t.TempDir(), Lease: time.Second, Slots: 2, Window: 16, BlobMax: "8MiB", TargetLatency: 30 * time.Second,
		UnknownHandlers: "wait", Artifacts: t.TempDir(), ArtifactAge: -1, Queues: []string{"default"}, JobTimeout: time.Minute, ShutdownGrace: time.Second,
	}
	watch, err := daemon.NewWatch(t.Context(), "dev", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	store, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL, OnError: watch.RedisError})
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := daemon.Jobs(s)
	if err != nil {
		t.Fatal(err)
	}
	o, err := daemon.NewOrchestrator(s, 20*time.Millisecond, store, watch, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	w, err := daemon.NewWorker(s, 20*time.Millisecond, jobs, watch, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	g.Go(func() error { return o.Run(t.Context()) })
	g.Go(func() error { return w.Run(t.Context()) })
	t.Cleanup(func() {
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		_ = store.Close()
	})
	c, err := client.Open(t.Context(), client.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	entry, err := c.Submit(t.Context(), client.Request{Definition: "name: tried\njobs:\n  a: {job: sleep, inputs: {duration: 10ms}}\n"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.Accepted(t.Context(), entry)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.Wait(t.Context(), id); err != nil || r.State != run.Succeeded {
		t.Fatalf("the run is %s: %v", r.State, err)
	}
	return scrape(t, watch.Handler())
}

func scrape(t *testing.T, h http.Handler) map[string]*dto.MetricFamily {
	t.Helper()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	got, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

var (
	metricForm  = regexp.MustCompile(`\b(?:orchis|process|go)_[a-z_]+`)
	groupForm   = regexp.MustCompile(`\b(?:by|without|on|ignoring)\s*\(([^)]*)\)`)
	matcherForm = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"`)
)

// TestWhatIsWatchedIsThere holds dashboard and alerts against the metrics of
// processes that have done a run: their names and labels.
func TestWhatIsWatchedIsThere(t *testing.T) {
	t.Parallel()
	there := families(t)
	labels := map[string][]string{}
	for name, f := range there {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				labels[name] = append(labels[name], l.GetName())
			}
		}
	}
	all := expressions(t)
	if len(all) < 40 {
		t.Fatalf("only %d expressions were found", len(all))
	}
	for where, expr := range all {
		known := []string{"job", "instance", "le"}
		names := metricForm.FindAllString(expr, -1)
		for _, name := range names {
			base := name
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if f := there[strings.TrimSuffix(name, suffix)]; f != nil && f.GetType() == dto.MetricType_HISTOGRAM {
					base = strings.TrimSuffix(name, suffix)
				}
			}
			if there[base] == nil {
				t.Errorf("%s names %s, which is no metric", where, name)
			}
			known = append(known, labels[base]...)
		}
		if len(names) == 0 && !strings.HasPrefix(expr, "up{") {
			t.Errorf("%s names no metric: %s", where, expr)
		}
		var used []string
		for _, m := range groupForm.FindAllStringSubmatch(expr, -1) {
			used = append(used, strings.Split(strings.ReplaceAll(m[1], " ", ""), ",")...)
		}
		for _, m := range matcherForm.FindAllStringSubmatch(expr, -1) {
			used = append(used, m[1])
		}
		for _, label := range used {
			if !slices.Contains(known, label) {
				t.Errorf("%s uses the label %s, which none of its metrics has: %s", where, label, expr)
			}
		}
	}
}

// TestPrometheusUnderstands asks Prometheus itself, where it is installed.
func TestPrometheusUnderstands(t *testing.T) {
	t.Parallel()
	for _, r := range rules(t) {
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
			t.Errorf("alert %s does not say what is to be done: %+v", r.Alert, r)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (apt install prometheus)")
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "config", "prometheus/prometheus.yml").CombinedOutput(); err != nil {
		t.Errorf("promtool check config: %v\n%s", err, out)
	}
	// The dashboard's expressions, as rules.
	type recorded struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var list []recorded
	all := expressions(t)
	for _, where := range slices.Sorted(maps.Keys(all)) {
		list = append(list, recorded{"dashboard:expr", strings.NewReplacer("$__rate_interval", "5m", "$queue", ".*", "$recipe", ".*").Replace(all[where])})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": list}}})
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/dashboard.yml"
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", "--lint=none", file).CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}

func TestTheDashboardFitsAnyGrafana(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("grafana/orchis.json")
	if err != nil {
		t.Fatal(err)
	}
	var board map[string]any
	if err := json.Unmarshal(raw, &board); err != nil {
		t.Fatal(err)
	}
	if board["id"] != nil {
		t.Error("the dashboard has an id, which belongs to one Grafana")
	}
	for _, m := range regexp.MustCompile(`"datasource": \{[^}]*"uid": "([^"]*)"`).FindAllStringSubmatch(string(raw), -1) {
		if m[1] != "${datasource}" {
			t.Errorf("a panel asks the source %s", m[1])
		}
	}
	panels, _ := board["panels"].([]any)
	for _, p := range panels {
		at, _ := p.(map[string]any)
		grid, _ := at["gridPos"].(map[string]any)
		if at["id"] != nil || grid == nil {
			t.Errorf("panel %v has an id, or no place", at["title"])
		}
	}
	for _, file := range []string{"grafana/provisioning/datasources/prometheus.yml", "grafana/provisioning/dashboards/orchis.yml"} {
		text, err := os.ReadFile(file)
		var read map[string]any
		if err == nil {
			err = yaml.Unmarshal(text, &read)
		}
		if err != nil || read["apiVersion"] != 1 {
			t.Errorf("%s: %v, %v", file, read, err)
		}
	}
}
