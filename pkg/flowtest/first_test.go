package flowtest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/flowtest"
)

// TestFilesOfTheFirstOrchis run as they are, without the bugs that it had with
// them: the order of the file (B1), no retries (B3), time in the queue (B4),
// values read again (B8) or as patterns (B9), dependencies by timing (B12), lost
// messages (B13), one element after another (B17), time that includes waiting
// (B19).
func TestFilesOfTheFirstOrchis(t *testing.T) {
	t.Parallel()
	flowtest.Run(t, "testdata/first")
}

// TestWhatTheFirstOrchisDidNotSee is an error when a definition is read.
func TestWhatTheFirstOrchisDidNotSee(t *testing.T) {
	t.Parallel()
	l, err := flow.NewLoader(flow.Options{Root: "testdata/first"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	tests := map[string][]struct{ text, want string }{
		"B2 cycles": {{"jobs:\n  a: {job: x, dependsOn: [b]}\n  b: {job: x, dependsOn: [a]}\n", "E202: these jobs wait for each other: a (2:3) -> b (3:3) -> a"}},
		"B10 iterate outside": {
			{"jobs:\n  a: {job: x, iterate: [1]}\n  b: {job: x, dependsOn: [a], inputs: {v: '${iterate.item}'}}\n", "3:54: error E204: iterate can be read only in"},
			{"jobs:\n  a: {job: x, iterate: [1]}\noutputs: ${iterate.item}\n", "3:20: error E204: iterate can be read only in"},
		},
		"B11 names of roots": {{"jobs:\n  inputs: {job: x}\n", `2:3: error E106: "inputs"`}, {"jobs:\n  iterate: {job: x}\n", `2:3: error E106: "iterate"`}},
		"B12 no such job":    {{"jobs:\n  a: {job: x, inputs: {v: '${bb.x}'}}\n  b: {job: x}\n", `there is no job "bb" (did you mean "b"?)`}},
		"B14 keys": {
			{"jobs: {a: {job: x}}\nouputs: {}\n", `2:1: error E102: unknown key "ouputs" in the definition (did you mean "outputs"?)`},
			{"jobs: {a: {job: x, input: {}}}\n", `unknown key "input" in job "a" (did you mean "inputs"?)`},
			{"jobs: {a: {job: x, depends_one: []}}\n", `unknown key "depends_one" in job "a" (did you mean "dependsOn"?)`},
		},
		"B15 code in values": {{"jobs: {a: {job: exec, inputs: {command: 'echo ${inputs.x}'}}}\n", "E203"}},
		"B18 paths":          {{"jobs: {a: {flow: ../../../etc/passwd.yaml}}\n", "the path is outside the project"}, {"jobs: {a: {flow: fade-inn, inputs: {url: x}}}\n", `did you mean "fade-in"?`}},
	}
	for name, all := range tests {
		for _, test := range all {
			_, diags := l.LoadText("flows/x.yaml", []byte(test.text))
			if err := diags.Err(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %q gives %v, want %q", name, test.text, err, test.want)
			}
		}
	}
	for _, name := range []string{"inputs", "vars", "env", "secrets", "run", "jobs", "flows", "iterate", "item", "self", "true", "false", "null"} {
		for _, text := range []string{"jobs: {'" + name + "': {job: x}}\n", "flows: {'" + name + "': {flow: fade-in, inputs: {url: x}}}\n"} {
			if _, diags := l.LoadText("flows/x.yaml", []byte(text)); diags.Err() == nil || !strings.Contains(diags.Err().Error(), "E106") {
				t.Errorf("%q is taken: %v", text, diags.Err())
			}
		}
	}
}

// TestHandlersThatAreGone: B20, flows whose handlers nobody has any more.
func TestHandlersThatAreGone(t *testing.T) {
	t.Parallel()
	l, err := flow.NewLoader(flow.Options{Root: "testdata/first"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	known := flow.Contracts{Complete: true, Handlers: map[string]flow.Contract{"fadeVideos": {Handler: "fadeVideos"}, "shuffle": {Handler: "shuffle"}}}
	_, diags := l.With(known).Load("weave2x-bpm")
	var got []string
	for _, d := range diags {
		if d.Code == "E301" {
			got = append(got, regexp.MustCompile(`"[^"]+"`).FindString(d.Message)+" "+d.Hint)
		}
	}
	want := []string{`"shuffleX" did you mean "shuffle"?`, `"writeList" `, `"cleanTable" `}
	if len(got) != len(want) || !strings.HasPrefix(got[0], want[0]) || !strings.HasPrefix(got[1], want[1]) || !strings.HasPrefix(got[2], want[2]) {
		t.Errorf("gone are %q, want %q", got, want)
	}
}

// TestBugsOfTheFirstOrchisAreTested: those that need processes are tested
// where they run. This only holds that the tests are there.
func TestBugsOfTheFirstOrchisAreTested(t *testing.T) {
	t.Parallel()
	var there []string
	for _, dir := range []string{"../../e2e", "../../internal/orchestrator", "../../internal/executable", "../../internal/handlers", "../worker", "../flow", "../../internal/expr"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)`).FindAllStringSubmatch(string(text), -1) {
				there = append(there, m[1])
			}
		}
	}
	for bug, tests := range map[string][]string{
		"B4 a timeout stops the work":           {"TestEverythingAProgramStartedEndsWithIt", "TestTimersFire"},
		"B5 a run outlives its orchestrator":    {"TestARunSurvivesKilledProcesses", "TestAnOrchestratorGoesOnWhereItsPredecessorDied", "TestOldRunsAreDeletedWithAllTheirKeys"},
		"B6 many processes, one run each":       {"TestManyRunsOnManyProcesses", "TestSamplesRunOnSeparateProcesses"},
		"B7 a signal drains":                    {"TestADrainedWorkerLosesNoAttempt", "TestAStoppingWorkerHandsBackWhatItCannotFinish"},
		"B13 results of a run that failed":      {"TestAnAttemptReportsItsOutcome"},
		"B15 an expression is no program":       {"FuzzExpressions", "TestHandlersGiveTheirResult"},
		"B16 files without a shared folder":     {"TestTheMediaSampleRunsOnWorkersThatShareNoFolder"},
		"B18 paths are relative to the project": {"TestOnlyTheProjectIsRead"},
	} {
		for _, name := range tests {
			if !slices.Contains(there, name) {
				t.Errorf("%s: there is no %s", bug, name)
			}
		}
	}
}
