package telemetry_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/orchestrator"
	"github.com/orchis-run/orchis/internal/telemetry"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/run"
)

var update = flag.Bool("update", false, "write the table of metrics into docs/operations.md")

// site is a process with everything there is to watch.
func site() (*telemetry.Metrics, *telemetry.Orchestrator, *telemetry.Worker) {
	m := telemetry.New("v1", "dev")
	o := m.Orchestrator(nil)
	m.Figures(o, nil, func() []int { return nil }, time.Second)
	return m, o, m.Worker()
}

var descForm = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: "((?:[^"\\]|\\.)*)",.*variableLabels: \{([^}]*)\}`)

// table is the table of metrics as docs/operations.md has it.
func table(m *telemetry.Metrics) string {
	all := make(chan *prometheus.Desc, 200)
	m.Registry().Describe(all)
	close(all)
	var lines []string
	for d := range all {
		f := descForm.FindStringSubmatch(d.String())
		if f == nil {
			lines = append(lines, d.String())
			continue
		}
		labels := strings.ReplaceAll(f[3], ",", ", ")
		if f[1] == "orchis_build_info" {
			labels = "version, role, go"
		}
		lines = append(lines, fmt.Sprintf("| `%s` | %s | %s |", f[1], labels, f[2]))
	}
	slices.Sort(lines)
	return "| metric | labels | |\n|---|---|---|\n" + strings.Join(lines, "\n") + "\n"
}

func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	const page, begin, end = "../../docs/operations.md", "<!-- metrics -->\n", "<!-- end of metrics -->\n"
	m, _, _ := site()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table of metrics", page)
	}
	want := table(m)
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s is not true any more (go test ./internal/telemetry -update):\n%s", page, want)
	}
}

// ended is an attempt that took a second and had waited two.
func ended(queue, handler, outcome string) engine.Attempt {
	return engine.Attempt{Task: "a", Queue: queue, Handler: handler, Outcome: outcome, Number: 1, First: 1000, Queued: 1000, Started: 3000, Ended: 4000}
}

func committedFx(fx *engine.Effects) *orchestrator.Committed {
	return &orchestrator.Committed{Effects: []*engine.Effects{fx}}
}

func committed(recipe string, attempts ...engine.Attempt) *orchestrator.Committed {
	return &orchestrator.Committed{Took: time.Millisecond, Created: true, Effects: []*engine.Effects{{
		Run: run.Run{ID: "r", Recipe: recipe, State: run.Failed, Created: 1000, Ended: 5000}, Ended: attempts, Stale: 2,
		Log: []run.Change{{Task: "a", State: run.TaskFailed}, {Run: run.Failed}},
	}}}
}

func TestNamesAreAsPrometheusWantsThem(t *testing.T) {
	t.Parallel()
	m, o, w := site()
	o.Committed(committed("etl", ended("default", "sleep", engine.OutcomeFailed)))
	o.Read([]wire.Event{{Type: wire.Failed}}, true)
	watch := w.Observer(2)
	watch.Begin(t.Context(), job.Attempt{Queue: "default", Handler: "sleep"})
	watch.End(job.Attempt{Queue: "default", Handler: "sleep"}, "failed", time.Second)
	problems, err := testutil.GatherAndLint(m.Registry())
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %+v", err, problems)
	}
}

func TestAttemptsAreCounted(t *testing.T) {
	t.Parallel()
	m, o, _ := site()
	lost := ended("default", "sleep", engine.OutcomeLost)
	o.Committed(committed("etl", ended("default", "sleep", engine.OutcomeSucceeded), ended("default", "sleep", engine.OutcomeFailed), lost))
	want := `
# HELP orchis_attempts_total Attempts that ended: succeeded, failed, timeout, lost (the worker went away), untaken (no worker in time) or cancelled.
# TYPE orchis_attempts_total counter
orchis_attempts_total{handler="sleep",outcome="cancelled",queue="default"} 0
orchis_attempts_total{handler="sleep",outcome="failed",queue="default"} 1
orchis_attempts_total{handler="sleep",outcome="lost",queue="default"} 1
orchis_attempts_total{handler="sleep",outcome="succeeded",queue="default"} 1
orchis_attempts_total{handler="sleep",outcome="timeout",queue="default"} 0
orchis_attempts_total{handler="sleep",outcome="untaken",queue="default"} 0
# HELP orchis_events_stale_total Events without effect: their publication was not the current one any more, or their run had ended. Fenced reports are among them.
# TYPE orchis_events_stale_total counter
orchis_events_stale_total 2
# HELP orchis_runs_ended_total Runs that ended, by the state in which they did.
# TYPE orchis_runs_ended_total counter
orchis_runs_ended_total{recipe="etl",state="cancelled"} 0
orchis_runs_ended_total{recipe="etl",state="failed"} 1
orchis_runs_ended_total{recipe="etl",state="succeeded"} 0
`
	if err := testutil.GatherAndCompare(m.Registry(), strings.NewReader(want), "orchis_attempts_total", "orchis_events_stale_total", "orchis_runs_ended_total"); err != nil {
		t.Error(err)
	}
}

func TestLabelsThatUsersChooseAreBounded(t *testing.T) {
	t.Parallel()
	m, o, _ := site()
	for i := range 1000 {
		o.Committed(committed(fmt.Sprint("recipe", i), ended(fmt.Sprint("queue", i), fmt.Sprint("handler", i), engine.OutcomeSucceeded)))
	}
	for name, most := range map[string]int{
		"orchis_runs_begun_total": 201, "orchis_run_duration_seconds": 201, "orchis_attempts_total": 201 * 6,
		"orchis_attempt_duration_seconds": 201, "orchis_attempt_wait_seconds": 201,
	} {
		if n, err := testutil.GatherAndCount(m.Registry(), name); err != nil || n > most || n < 200 {
			t.Errorf("%s has %d series, want at most %d: %v", name, n, most, err)
		}
	}
}

func TestHowManyWorkersAreWanted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		backlog             int64
		took, target, slots float64
		want                float64
	}{
		{0, 10, 30, 4, 0},     // nothing to do
		{1, 0.01, 30, 4, 1},   // somebody must do it
		{600, 1, 30, 1, 20},   // 600 seconds of work in 30
		{600, 1, 30, 4, 5},    // by four at once
		{601, 1, 30, 4, 6},    // and a bit
		{100, 60, 30, 2, 100}, /* what takes longer than the target is begun at once */
	} {
		if got := telemetry.Wanted(c.backlog, c.took, c.target, c.slots); got != c.want {
			t.Errorf("%d tickets of %v s in %v s by workers of %v slots want %v workers, got %v", c.backlog, c.took, c.target, c.slots, c.want, got)
		}
	}
}
