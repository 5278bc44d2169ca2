package mutants

import (
	"encoding/json"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// watched names the tests that must notice a mutation.
type watched struct {
	Name     string
	Packages string
	Run      string // as go test -run has it; empty: all of the packages
}

func table() []watched {
	const (
		engine = "./internal/engine"
		store  = "./internal/redisstore"
		orch   = "./internal/orchestrator"
		work   = "./pkg/worker"
	)
	return []watched{
		{"fence-must-match", engine, ""},
		{"ended-run-ignores-events", engine, ""},
		{"restore-counts-dependencies", engine, ""},
		{"failure-blocks-dependents", engine, ""},
		{"implied-dependency", "./pkg/flowtest", "Examples"},
		{"artifact-of-active-run", store, "Artifacts"},
		{"artifacts-owner", orch, "OnlyTheOwner"},
		{"parallelism-limit", engine, ""},
		{"freed-place-wakes-next", engine, "Transcripts|EveryRunEndsOnce"},
		{"task-move-allowed", engine, "Moves"},
		{"run-move-allowed", engine, "Moves"},
		{"first-stop-counts", engine, "Stop"},
		{"phase-only-forward", engine, "Phases|Stop"},
		{"restore-cancels-stopped", engine, "Stop"},
		{"loss-is-no-failure", engine, ""},
		{"restore-counts-active", engine, ""},
		{"restore-schedules-ready", engine, ""},
		{"commit-version-check", store + " " + orch, "Commit|TwoOwners"},
		{"commit-watches", store, "Commit"},
		{"commit-one-connection", store, "Commit"},
		{"commit-writes-mark", store, "WhoDrives"},
		{"watch-reads-mark", store, "BetweenACommit"},
		{"watch-must-succeed", store, "AWatchThatIsRefused"},
		{"idle-connection-probe", store, "BrokeUnseen"},
		{"pending-read-is-used", orch, "Reading_"},
		{"entry-acked-when-covered", orch, "Ledger_"},
		{"entry-covered-by-all", orch, "Ledger_"},
		{"entry-acked-by-last-commit", store + " " + orch, "ModelIsLikeRedis"},
		{"expect-new-timer", orch, "RetryIsInTime"},
		{"full-timer-batch-polls-again", orch, "ManyTimers"},
		{"failed-commit-reclaims", orch, "TakesUp"},
		{"deletion-writes-mark", store, "WhoDrives"},
		{"lines-deleted-with-run", store, "Lines_"},
		{"forgotten-tasks-keep-lines", store, "Lines_"},
		{"log-reader-refreshes", "./internal/loglines", ""},
		{"unwatched-clears-memory", store, "BornBefore"},
		{"creation-generation", store, "BornBefore"},
		{"deleted-run-stays-deleted", store, "WhoDrives"},
		{"unconfirmed-conflict", orch, "TheModelIsLikeRedis"},
		{"conflict-commits-nothing", store, ""},
		{"completed-ticket-deleted", work, ""},
		{"committed-events-deleted", store, ""},
		{"timer-cleared", store, ""},
		{"revoked-ticket-deleted", orch, "Cancel|Timers"},
		{"stale-cache-keeps-report", orch, "TwoOwners"},
		{"lost-after-two-looks", orch, "Silence"},
		{"lost-workers-reported", orch, "Lost"},
		{"cluster-no-retry", store, "SentACommandOnce"},
		{"pool-size", store, "ReadersThatWait"},
		{"claim-orphaned-events", orch, "Predecessor"},
		{"connection-fault-retries", orch, "Simulation$"},
		{"vanished-ticket-found", orch, "Simulation$"},
		{"sweep-pages", orch, "DoNotHide"},
		{"vanished-timer-found", orch, "TimersThatVanish"},
		{"forgotten-work-found", orch, "TakenUp"},
		{"missing-definition-is-error", orch, "DefinitionVanished"},
		{"control-continues", orch, "Unreadable"},
		{"unreadable-run-skipped", orch, "Unreadable"},
		{"orphaned-submissions", orch, "LeftBehind"},
		{"orphaned-ticket-dropped", orch, "NobodyWaits"},
		{"orphaned-tickets-searched", orch, "OrphanedTicket"},
		{"definition-in-use", store, "DefinitionStays"},
		{"failed-commit-evicts", orch, "Simulation$"},
		{"log-trimmed", store, "LongLog"},
		{"log-trim-detected", store, "CutMeanwhile"},
		{"log-cursor-reset", store, "ReaderSays"},
		{"blob-persisted", store, "LargeValues"},
		{"blob-shared", store, "LargeValues"},
		{"query-fence-must-match", engine + " " + orch, "Transcripts|EveryRun|Fence|Cache|Simulation$"},
		{"slots-released", engine + " " + orch, "Transcripts|Simulation$"},
		{"leaked-slots-released", orch, "Simulation$"},
		{"queries-republished", orch, "Simulation$"},
		{"group-limit", orch, "Groups"},
		{"hook-runs-first", engine, "Transcripts"},
		{"pause-stops-work", engine, "Transcripts"},
		{"approvers-only", engine, "Transcripts"},
		{"schedule-fires-once", orch, "FiresOnce"},
		{"look-before-watch", work, "Claim_ANewWorker"},
		{"look-while-claiming", work, "Claim_AHighTicket"},
		{"revoked-ticket-cancels", work, "TakenBack"},
		{"lost-lease-cancels", work, "GoneForTooLong"},
		{"shutdown-cancels", work, "Stopping"},
		{"predecessor-tickets-released", work, "Predecessor"},
		{"attempt-timeout", work, "Outcome"},
		{"reserved-submission-fields", "./internal/wire", "Reserved"},
		{"signature-must-match", "./internal/wire", ""},
		{"unsigned-ticket-refused", work, "Signed"},
		{"secret-across-lines", work, "NeverTold"},
		{"masked-results", work, "NeverTold"},
		{"result-size-limit", work, "Outcome"},
	}
}

// repository returns the root of the repository.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// marksByName returns all marks of the repository.
func marksByName(t *testing.T, root string) map[string]Mark {
	t.Helper()
	marks, err := Find(root)
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]Mark, len(marks))
	for _, m := range marks {
		if other, is := byName[m.Name]; is {
			t.Errorf("mutant %s is marked twice: %s:%d and %s:%d", m.Name, other.File, other.Line, m.File, m.Line)
		}
		byName[m.Name] = m
	}
	return byName
}

func TestMutants_EveryMarkHasARow(t *testing.T) {
	t.Parallel()
	rows := map[string]bool{}
	for _, w := range table() {
		if rows[w.Name] {
			t.Errorf("mutant %s has two rows in table()", w.Name)
		}
		rows[w.Name] = true
	}
	marks := marksByName(t, repository(t))
	for name, m := range marks {
		if !rows[name] {
			t.Errorf("%s:%d: mutant %s has no row in table(): say which tests notice it", m.File, m.Line, name)
		}
	}
	for _, w := range table() {
		if _, is := marks[w.Name]; !is {
			t.Errorf("mutant %s has a row in table() and no mark in the code", w.Name)
		}
	}
}

// TestMutants_Compile makes each mutation and type-checks the package with it.
func TestMutants_Compile(t *testing.T) {
	t.Parallel()
	root := repository(t)
	marks := marksByName(t, root)
	dirs := map[string][]Mark{}
	for _, m := range marks {
		if _, text := mutated(t, root, m); path.Ext(m.File) == ".go" && text != "" {
			dirs[path.Dir(m.File)] = append(dirs[path.Dir(m.File)], m)
		}
	}
	exports := exportData(t, root, slices.Sorted(maps.Keys(dirs)))
	for dir, marks := range dirs {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			p := parsePackage(t, filepath.Join(root, dir), exports)
			if err := p.check("", ""); err != nil {
				t.Fatalf("without a mutation: %v", err)
			}
			for _, m := range marks {
				file, text := mutated(t, root, m)
				if err := p.check(file, text); err != nil {
					t.Errorf("%s:%d: mutant %s (%s %s) does not compile: %v", m.File, m.Line, m.Name, m.Word, m.Args, err)
				}
			}
		})
	}
}

// mutated returns the path of the marked file and its text with the mutation,
// or no text when the mutation cannot be made.
func mutated(t *testing.T, root string, m Mark) (file, text string) {
	t.Helper()
	file = filepath.Join(root, filepath.FromSlash(m.File))
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err = m.Apply(string(before))
	if err != nil {
		t.Error(err)
		return file, ""
	}
	return file, text
}

// packageChecker type-checks one package again and again, each time with one file changed.
type packageChecker struct {
	fset     *token.FileSet
	files    map[string]*ast.File
	importer types.Importer
}

// exportData returns where the compiler has put the export data of all that the
// packages import.
func exportData(t *testing.T, root string, dirs []string) map[string]string {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-json=ImportPath,Export"}
	for _, dir := range dirs {
		args = append(args, "./"+dir)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Stderr = root, t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	for list := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ ImportPath, Export string }
		if err := list.Decode(&p); err == io.EOF {
			return exports
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
	}
}

// parsePackage parses the files of a directory that are not tests.
func parsePackage(t *testing.T, dir string, exports map[string]string) packageChecker {
	t.Helper()
	p := packageChecker{fset: token.NewFileSet(), files: map[string]*ast.File{}}
	p.importer = importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		if p.files[file], err = parser.ParseFile(p.fset, file, nil, parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// check type-checks the package with another text of one file.
func (p packageChecker) check(changed, text string) error {
	files := maps.Clone(p.files)
	if changed != "" {
		tree, err := parser.ParseFile(p.fset, changed, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files[changed] = tree
	}
	_, err := (&types.Config{Importer: p.importer}).Check("checked", p.fset, slices.Collect(maps.Values(files)), nil)
	return err
}

// TestMutants_AreNoticed is slow. It runs with ORCHIS_MUTANTS=all only: see
// make mutants.
func TestMutants_AreNoticed(t *testing.T) {
	t.Parallel()
	if os.Getenv("ORCHIS_MUTANTS") != "all" {
		t.Skip("set ORCHIS_MUTANTS=all to try all mutations")
	}
	root := repository(t)
	marks := marksByName(t, root)
	for _, w := range table() {
		t.Run(w.Name, func(t *testing.T) {
			t.Parallel()
			m, is := marks[w.Name]
			if !is {
				t.Fatal("there is no mark in the code")
			}
			if file, text := mutated(t, root, m); text != "" {
				kill(t, root, w, file, text)
			}
		})
	}
}

// kill runs the tests with the mutated file; they must fail.
func kill(t *testing.T, root string, w watched, file, text string) {
	t.Helper()
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, filepath.Base(file)), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{file: changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"test", "-count=1", "-failfast", "-vet=off", "-timeout", "240s", "-overlay", overlay, "-run", w.Run}, strings.Fields(w.Packages)...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		t.Errorf("no test notices:\n%s", out)
	case strings.Contains(string(out), "[build failed]"):
		t.Errorf("the mutation does not compile:\n%s", out)
	case !strings.Contains(string(out), "--- FAIL") && !strings.Contains(string(out), "panic:"):
		t.Errorf("the tests were not run:\n%s", out) // a full disk, say
	}
}
