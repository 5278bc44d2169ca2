package e2e

import (
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
)

func TestThePageOfTheAPIIsTrue(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli", "curl")
	h := newHouseOn(t, redistest.Real(t), 0, 1)
	play(t, "docs/api.md", newSitting(t, h))
	for _, b := range blocks(t, "docs/api.md") {
		if b.lang == "go" {
			sameCodeAs(t, "../pkg/server/example_test.go", b.text)
		}
	}
}

func TestThePageOfOutputForProgramsIsTrue(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "jq")
	h := newHouseOn(t, redistest.Real(t), 1, 1)
	s := newSitting(t, h)
	s.env = append(s.env, "REDIS_URL="+h.redis.URL)
	play(t, "docs/output.md", s)
}

func TestTheTutorialIsTrue(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli", "python3")
	h := newHouseOn(t, redistest.Real(t), 0, 0)
	s := newSitting(t, h)
	play(t, "docs/tutorial.md", s)
	// The orchestrator at the end of the page serves the dashboard, too.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.listen+"/runs/third", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if page, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(page), "party") {
		t.Errorf("the run's page is answered with %s, %v", res.Status, err)
	}
}

func TestThePageForThoseWhoComeFromTheFirstOrchisIsTrue(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli", "node")
	h := newHouseOn(t, redistest.Real(t), 0, 0)
	s := newSitting(t, h)
	play(t, "docs/migration.md", s)
	for number, c := range map[int]struct{ flow, want string }{
		1:  {"jobs: {b: {job: debug, dependsOn: [a]}, a: {job: debug, inputs: {x: 1}}}\noutputs: ${a}", `"x": 1`},
		2:  {"jobs: {b: {job: debug, dependsOn: [a]}, a: {job: debug, dependsOn: [b]}}", "E202: these jobs wait for each other: b (1:8) -> a (1:41) -> b"},
		8:  {"inputs: {q: {default: secret}, t: {default: '$${inputs.q}'}}\njobs: {a: {job: debug, inputs: {x: '${inputs.t}'}}, b: {job: debug, inputs: {x: '-${a.x}-'}}}\noutputs: ${b.x}", `"-${inputs.q}-"`},
		9:  {"inputs: {t: {default: '$$ $1'}}\njobs: {a: {job: debug, inputs: {x: '-${inputs.t}-'}}}\noutputs: ${a.x}", `"-$$ $1-"`},
		10: {"jobs: {l: {job: debug, iterate: [1]}, b: {job: debug, dependsOn: [l], inputs: {x: '${iterate.item}'}}}", "E204: iterate can be read only in"},
		11: {"jobs: {inputs: {job: debug}}", `E106: "inputs" is a reserved word`},
		12: {"jobs: {b: {job: debug, inputs: {x: '${a.x}'}}, a: {job: debug, inputs: {x: 7}}}\noutputs: ${b}", `"x": 7`},
		14: {"jobs: {a: {job: debug}}\nouputs: 1", `E102: unknown key "ouputs" in the definition (did you mean "outputs"?)`},
		18: {"jobs: {a: {flow: loud, inputs: {person: Bo}}}\noutputs: ${a.text}", "HELLO BO"},
		20: {"jobs: {a: {job: shuffleX}}", `wants the handler "shuffleX"`},
	} {
		s.write("flows/tried.yaml", c.flow)
		cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "orchis"), "run", "--project", s.dir, "tried", "--progress", "quiet")
		cmd.Dir, cmd.Env = t.TempDir(), s.env // not the project: number 18
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), c.want) {
			t.Errorf("%d: it prints\n%s\nwant %s", number, out, c.want)
		}
	}
}

func TestTheBackupOfThePageOfOperationsIsOne(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouseOn(t, redistest.Real(t), 1, 1)
	s := newSitting(t, h)
	s.env = append(s.env, "REDIS_URL="+h.redis.URL, "ORCHIS_ARTIFACTS="+h.data)
	s.swap = append(s.swap, [2]string{"7399", freePort(t)})
	play(t, "docs/operations.md", s)
}
