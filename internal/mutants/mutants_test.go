// Package mutants tests the tests: it takes one guard after another out of the
// code and expects the suite to notice.
package mutants

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutant is a guard that is taken out: the text Old of File becomes New, and
// the tests of Packages must fail.
type mutant struct {
	Name, File, Old, New string
	Packages             string
	Run                  string // which tests, as go test -run has it
}

func mutants() []mutant {
	const (
		engine = "./internal/engine"
		store  = "./internal/redisstore"
		orch   = "./internal/orchestrator"
		work   = "./pkg/worker"
	)
	return []mutant{
		{"fence: reports of an old publication count", "internal/engine/events.go", `u == nil || u.rec.Fence == "" || u.rec.Fence != ev.Fence`, `u == nil || u.rec.Fence == ""`, engine, ""},
		{"final runs still take events", "internal/engine/events.go", "	if r.Final() {\n		return false\n	}\n	switch ev.Kind {\n	case event.Start:", "	switch ev.Kind {\n	case event.Start:", engine, ""},
		{"a restored job waits for one dependency only", "internal/engine/restore.go", "s.nodes[d].waiting--", "s.nodes[d].waiting = 0", engine, ""},
		{"a failure blocks nothing", "internal/engine/view.go", "if other.broken() {\n				return isBlocked\n			}\n			count := &named", "count := &named", engine, ""},
		{"what is read counts as if it were waited for", "internal/engine/view.go", "if d.implied {", "if false {", "./pkg/flowtest", "Examples"},
		{"artifacts of runs are removed", "internal/redisstore/artifacts.go", "!run.State(state).Final() {\n			return true, nil", "!run.State(state).Final() {\n			continue", store, "Artifacts"},
		{"the files of another Redis are removed", "internal/orchestrator/artifacts.go", "} else if owner != epoch {", "} else if false {", orch, "OnlyTheOwner"},
		{"parallelism is no limit", "internal/engine/units.go", "limit > 0 && s.active >= limit {\n			s.waiters", "limit > 0 && s.active > limit {\n			s.waiters", engine, ""},
		{"a freed place wakes nobody", "internal/engine/units.go", "next.woken = true\n				r.laterUnit(next)", "next.woken = true", engine, ""},
		{"lost workers count as failures", "internal/engine/events.go", "u.rec.Losses++", "u.rec.Failures++", engine, ""},
		{"a restored run forgets the places that are taken", "internal/engine/restore.go", "			s.active++\n", "", engine, ""},
		{"a restored run looks for no work", "internal/engine/restore.go", "		if n.waiting == 0 || n.scope.stopping {\n			r.laterNode(n)\n		}", "", engine, ""},
		{"no version check in the commit", "internal/redisstore/watch.go", "	if version != c.Version {", "	if version < 0 {", store + " " + orch, "Commit|TwoOwners"},
		{"a commit does not notice what happens within it", "internal/redisstore/watch.go", `keys[0] = "WATCH"`, `keys[0] = "EXISTS"`, store, "Commit"},
		{"a transaction goes on with another connection", "internal/redisstore/transaction.go", "pipe: a.conn.Pipeline()", "pipe: a.client.Pipeline()", store, "Commit"},
		{"a commit does not tell of itself", "internal/redisstore/transaction.go", `		t.do("SET", t.key, text)` + "\n", `		t.do("SETNX", t.key, text)` + "\n", store, "WhoDrives"},
		{"the watch of the mark begins without a look", "internal/redisstore/transaction.go", "mark.Val() == text", "mark.Val() != \"\"", store, "BetweenACommit"},
		{"a watch that is refused counts", "internal/redisstore/transaction.go", "watch.Err() == nil && mark.Err()", "watch != nil && mark.Err()", store, "AWatchThatIsRefused"},
		{"a connection that was idle is not tried", "internal/redisstore/mark.go", "conn.Get(ctx, key).Err() != nil {", "false {", store, "BrokeUnseen"},
		{"what was read ahead is thrown away", "internal/orchestrator/backlog.go", "if r.err != nil || len(r.events) > 0 {", "if r.err != nil {", orch, "ReadAhead"},
		{"a timer that was set is not expected", "internal/orchestrator/drive.go", "		pt.expectTimer(tm)\n", "		_ = tm\n", orch, "RetryIsInTime"},
		{"more timers wait for the next look", "internal/orchestrator/partition.go", "if len(due) >= batch || pt.behind", "if pt.behind", orch, "ManyTimers"},
		{"what failed waits until it looks abandoned", "internal/orchestrator/partition.go", "		pt.unsure = true\n", "", orch, "TakesUp"},
		{"a deletion does not tell of itself", "internal/redisstore/delete.go", "		pipe.Set(ctx, s.markKey(p, side), s.sign(), 0)\n", "		_ = side\n", store, "WhoDrives"},
		{"what was known before a watch began counts after it", "internal/redisstore/mark.go", "	if !watched {\n		m.clear()\n	}\n", "", store, "BornBefore"},
		{"what is born is known whatever was forgotten", "internal/redisstore/mark.go", "if m.era != era {", "if false {", store, "BornBefore"},
		{"a run that was deleted by hand comes back", "internal/redisstore/commit.go", "w.version > 1 && n == int64(w.fields)", "w.version < 0 && n == int64(w.fields)", store, "WhoDrives"},
		{"a conflict by hearsay is one", "internal/redisstore/commit.go", "case len(a.made) == 0 && a.watched:", "case len(a.made) == 0 && a.watched && false:", orch, "TheModelIsLikeRedis"},
		{"events of a conflict are acknowledged", "internal/redisstore/commit.go", "			results[i].Err = wire.ErrConflict\n			continue", "			results[i].Err = wire.ErrConflict\n			w := tx.commit(&wire.Commit{Run: \"other\", Events: changes[i].Events}, found)\n			w.result = &wire.CommitResult{}\n			a.made = append(a.made, w)\n			continue", store, ""},
		{"tickets are not deleted when done", "internal/redisstore/work.go", "		pipe.XAck(ctx, stream, groupWorkers, ids...)\n		pipe.XDel(ctx, stream, ids...)\n	}\n	if _, err := pipe.Exec(ctx); err != nil && !isNoGroup(err) {\n		return fmt.Errorf(\"report", "		pipe.XAck(ctx, stream, groupWorkers, ids...)\n	}\n	if _, err := pipe.Exec(ctx); err != nil && !isNoGroup(err) {\n		return fmt.Errorf(\"report", work, ""},
		{"events are not deleted when committed", "internal/redisstore/transaction.go", `		t.do(append([]any{"XDEL", stream}, t.done...)...)` + "\n", "", store, ""},
		{"timers are not cleared", "internal/redisstore/transaction.go", `		t.do("ZREM", t.timers(t.p), member(tm))`, "		_ = member(tm)", store, ""},
		{"revoked tickets stay", "internal/redisstore/transaction.go", `		t.do("XDEL", stream, r.ID)` + "\n", "", orch, "Cancel|Timers"},
		{"a report is thrown away by a memory that is behind", "internal/orchestrator/memory.go", "err != nil || version == l.version", "err != nil || version >= 0", orch, "TwoOwners"},
		{"the first sight of silence takes the work away", "internal/orchestrator/reaper.go", "if !known {", "if !known && false {", orch, "Silence"},
		{"nobody looks for lost workers", "internal/orchestrator/reaper.go", "	if len(lost) == 0 {\n		return nil\n	}\n	return o.store.SendEvents(ctx, pt.p, lost)", "	return nil", orch, "Lost"},
		{"a Cluster may be sent a command twice", "internal/redisstore/client.go", "func (once) NoRetry() bool { return true }", "func (once) NoRetry() bool { return false }", store, "SentACommandOnce"},
		{"connections are too few for the partitions", "internal/redisstore/client.go", "return 32 + (2+wire.Sides)*partitions", "return 32 + 0*wire.Sides", store, "ReadersThatWait"},
		{"events left by the dead are not claimed", "internal/redisstore/streams.go", "got, deliveries, err := s.claim(ctx, s.events(p), consumer, idle, count)", "got, deliveries, err := s.claim(ctx, s.events(p), consumer, 1000*time.Hour+idle, count)", orch, "Predecessor"},
		{"a fault of the connection fails the run", "internal/orchestrator/partition.go", "err != nil && pt.o.store.Retryable(err):", "err != nil && false:", orch, "Simulation$"},
		{"a vanished ticket is not missed", "internal/orchestrator/sweeper.go", "f.lost = append(f.lost, wire", "_ = append(f.lost, wire", orch, "Simulation$"},
		{"only the first runs are swept", "internal/orchestrator/sweeper.go", "pt.swept.at += len(ids)", "pt.swept.at += 0 * len(ids)", orch, "DoNotHide"},
		{"timers that vanished are not missed", "internal/orchestrator/sweeper.go", "f.timers = append(f.timers, toTimer(id, tm))", "_ = append(f.timers, toTimer(id, tm))", orch, "TimersThatVanish"},
		{"work that was forgotten stays so", "internal/orchestrator/sweeper.go", "case l.run.HasWork():", "case false && l.run.HasWork():", orch, "TakenUp"},
		{"a run without its definition is none", "internal/orchestrator/memory.go", "if errors.Is(err, wire.ErrNotFound) { // the run", "if errors.Is(err, wire.ErrNotFound) && false { // the run", orch, "DefinitionVanished"},
		{"one wish holds up the others", "internal/orchestrator/control.go", "if o.store.Retryable(err) {", "if true || o.store.Retryable(err) {", orch, "Unreadable"},
		{"an unreadable run holds up the others", "internal/orchestrator/broken.go", "case err != nil && pt.o.store.Retryable(err):", "case err != nil:", orch, "Unreadable"},
		{"submissions of the dead wait for silence", "internal/orchestrator/submissions.go", "len(subs) == 0 || o.clock()", "len(subs) == 0 || false && o.clock()", orch, "LeftBehind"},
		{"a ticket that nobody waits for stays", "internal/orchestrator/reaper.go", "task.Fence == t.Fence {", "task.Fence == t.Fence || true {", orch, "NobodyWaits"},
		{"a definition goes while somebody begins with it", "internal/redisstore/delete.go", `[]string{def, def + ":runs"}`, `[]string{def, def + ":others"}`, store, "DefinitionStays"},
		{"what is left after a failed commit is believed", "internal/orchestrator/drive.go", "			clear(pt.runs) // nobody knows what was committed\n", "", orch, "Simulation$"},
		{"a long log is never cut", "internal/redisstore/transaction.go", `		t.do("LTRIM", key, -logLength, -1)`, "		_ = key", store, "LongLog"},
		{"a log that is cut is read as if it were not", "internal/redisstore/changes.go", "versionOf(texts[0]) > after) {", "false) {", store, "CutMeanwhile"},
		{"a place in a log that was lost is waited for", "internal/redisstore/changes.go", "		if after > version {", "		if false {", store, "ReaderSays"},
		{"a large value is not kept", "internal/redisstore/transaction.go", `		t.do("PERSIST", blob)` + "\n", "", store, "LargeValues"},
		{"a large value goes with its first run", "internal/redisstore/scripts/release.lua", "if redis.call('SCARD', KEYS[2]) == 0 then", "if true then", store, "LargeValues"},
		{"an answer to another question counts", "internal/engine/gates.go", `u.rec.Wait.Ask == "" || u.rec.Wait.Ask != ev.Fence`, `u.rec.Wait.Ask == ""`, engine + " " + orch, "Transcripts|EveryRun|Fence|Cache|Simulation$"},
		{"slots are not given back", "internal/engine/groups.go", "	u.rec.Slots = nil\n", "	u.rec.Slots, r.fx.Frees = nil, nil\n", engine + " " + orch, "Transcripts|Simulation$"},
		{"nobody looks for slots that were left behind", "internal/orchestrator/groups.go", "			if known {\n				continue", "			if true || known {\n				continue", orch, "Simulation$"},
		{"questions are asked once only", "internal/orchestrator/sweeper.go", "len(asks) > 0 {", "len(asks) > 0 && false {", orch, "Simulation$"},
		{"a group gives more slots than it has", "internal/redisstore/scripts/group.lua", "redis.call('ZCARD', holders) < limit do", "redis.call('ZCARD', holders) <= limit do", orch, "Groups"},
		{"a hook runs after everything else", "internal/engine/units.go", "n.state() == run.TaskFailed && n.step.hook != nil", "false && n.step.hook != nil", engine, "Transcripts"},
		{"a paused run goes on", "internal/engine/work.go", "	if r.rec.Paused != nil {\n		return", "	if false {\n		return", engine, "Transcripts"},
		{"anybody may approve", "internal/engine/wishes.go", "len(a.By) > 0 && !slices.Contains(a.By, ev.By)", "false", engine, "Transcripts"},
		{"a schedule fires for each orchestrator", "internal/orchestrator/scheduler.go", `ID: e.key + "-" + at.UTC()`, `ID: e.key + o.cfg.Name + "-" + at.UTC()`, orch, "FiresOnce"},
		{"a revoked ticket is worked on", "pkg/worker/upkeep.go", "a.cancel(ErrRevoked)", "_ = a", work, "TakenBack"},
		{"work goes on without Redis", "pkg/worker/upkeep.go", "a.cancel(ErrLeaseLost)", "_ = a", work, "GoneForTooLong"},
		{"a stopping worker keeps what it has", "pkg/worker/worker.go", "a.cancel(ErrDraining)", "_ = a", work, "Stopping"},
		{"a new worker ignores what its predecessor held", "pkg/worker/worker.go", "if len(done) == 0 {", "if true {", work, "Predecessor"},
		{"the timeout is no limit", "pkg/worker/attempt.go", "if ms := a.ticket.TimeoutMs; ms > 0 {\n		ctx", "if ms := a.ticket.TimeoutMs; ms > 1<<40 {\n		ctx", work, "Outcome"},
		{"what is wrongly signed counts as signed", "internal/wire/sign.go", "if !hmac.Equal(sum, t.mac(key)) {", "if sum == nil || len(t.mac(key)) == 0 {", "./internal/wire", ""},
		{"unsigned tickets are worked on", "pkg/worker/attempt.go", "		a.refuse(err)\n		return nil\n", "", work, "Signed"},
		{"the end of a long line tells the beginning of a secret", "pkg/job/attempt.go", "end -= hides.Begun(line[:end])", "_ = hides", work, "NeverTold"},
		{"results tell secrets", "pkg/worker/attempt.go", "a.mask.JSON(out)", "(*secret.Mask)(nil).JSON(out)", work, "NeverTold"},
		{"results may be of any size", "pkg/worker/attempt.go", "if len(out) > a.w.cfg.MaxResult {", "if len(out) < 0 {", work, "Outcome"},
	}
}

// TestEveryGuardIsNoticed is slow: with ORCHIS_MUTANTS=all it tries them all.
// Without, it only checks that each guard still stands where the list says.
func TestEveryGuardIsNoticed(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(root, m.File)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), m.Old); n == 0 {
				t.Fatalf("%s does not hold\n%s", m.File, m.Old)
			}
			if os.Getenv("ORCHIS_MUTANTS") != "all" {
				return
			}
			kill(t, root, path, m, strings.ReplaceAll(string(text), m.Old, m.New))
		})
	}
}

// kill runs the tests with the guard taken out; they must fail.
func kill(t *testing.T, root, path string, m mutant, text string) {
	t.Helper()
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, filepath.Base(path)), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"test", "-count=1", "-failfast", "-vet=off", "-timeout", "240s", "-overlay", overlay, "-run", m.Run}, strings.Fields(m.Packages)...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		t.Errorf("nobody notices:\n%s", out)
	case strings.Contains(string(out), "[build failed]"):
		t.Errorf("the change does not compile:\n%s", out)
	case !strings.Contains(string(out), "--- FAIL") && !strings.Contains(string(out), "panic:"):
		t.Errorf("the tests were not run:\n%s", out) // a full disk, say
	}
}
