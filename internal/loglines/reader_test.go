package loglines_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/loglines"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// story is a run whose tasks move and write as a test says.
type story struct {
	t       *testing.T
	srv     redistest.Server
	store   *redisstore.Store
	version int64
	written int
}

const id = "r"

func newStory(t *testing.T) *story {
	t.Helper()
	srv := redistest.Real(t)
	store, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s := &story{t: t, srv: srv, store: store}
	s.commit(wire.Commit{Fields: []string{"state", "running"}})
	return s
}

func (s *story) commit(c wire.Commit) {
	s.t.Helper()
	c.Run, c.Version, c.Active = id, s.version, 1
	res, err := s.store.Commit(s.t.Context(), s.store.PartitionOf(id), []wire.Commit{c})
	if err != nil || res[0].Err != nil {
		s.t.Fatal(err, res)
	}
	s.version++
}

// move brings tasks into a state, as a commit of an orchestrator does.
func (s *story) move(state run.TaskState, tasks ...string) {
	s.t.Helper()
	c := wire.Commit{}
	var changes []run.Change
	for _, task := range tasks {
		rec := run.Task{State: state, Attempt: 1}
		c.Tasks = append(c.Tasks, task, rec.Encode())
		changes = append(changes, run.Change{At: 5, Task: task, State: state, Attempt: 1})
	}
	c.Log = run.EncodeChanges(changes)
	s.commit(c)
}

// write adds a line to a task, as a worker in another language does.
func (s *story) write(task, text string) {
	s.t.Helper()
	s.written++
	key := fmt.Sprintf("orchis:{%d}:run:%s:lines:%s", s.store.PartitionOf(id), id, task)
	s.srv.Do(s.t, "XADD", key, "*", "attempt", "1", "source", "log", "text", text, "at", s.written)
}

func (s *story) open(o loglines.Options) *loglines.Reader {
	s.t.Helper()
	r, err := loglines.Open(s.t.Context(), s.store, id, o)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// reads returns what a reader reads until there is nothing more.
func (s *story) reads(r *loglines.Reader) string {
	s.t.Helper()
	var texts []string
	for {
		lines, err := r.Next(s.t.Context(), 0)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(lines) == 0 {
			return strings.Join(texts, " ")
		}
		for _, l := range lines {
			texts = append(texts, l.Task+":"+l.Text)
		}
	}
}

func (s *story) want(what, want, got string) {
	s.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestReader_FindsLinesWithoutAListOfTheirTasks(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.move(run.TaskQueued, "a", "b", "none")
	s.move(run.TaskSucceeded, "ended")
	s.write("b", "1")
	s.write("a", "2")
	s.write("ended", "3")
	s.write("b", "4")
	r := s.open(loglines.Options{})
	s.want("all lines by time", "b:1 a:2 ended:3 b:4", s.reads(r))
	s.write("a", "5")
	s.want("then what is new", "a:5", s.reads(r))
	s.want("a part", "b:1 b:4", s.reads(s.open(loglines.Options{Wants: func(task string) bool { return task == "b" }})))
	r = s.open(loglines.Options{Tail: 1})
	s.write("ended", "6")
	s.want("the newest of each", "b:4 a:5 ended:6", s.reads(r))
	s.write("b", "7")
	s.want("and what follows", "b:7", s.reads(r))
}

// TestReader_FollowsTasksThatStartLater: a task that was pending when the reader
// was opened, one that is retried, and one whose record is deleted.
func TestReader_FollowsTasksThatStartLater(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.move(run.TaskRunning, "a")
	r := s.open(loglines.Options{})
	s.want("at first", "", s.reads(r))
	s.move(run.TaskQueued, "b")
	s.write("b", "1")
	s.want("of a queued task", "b:1", s.reads(r))
	s.move(run.TaskFailed, "b")
	s.want("of an ended task", "", s.reads(r))
	s.move(run.TaskRunning, "b")
	s.write("b", "2")
	s.want("of its next attempt", "b:2", s.reads(r))
	s.commit(wire.Commit{Forget: []string{"b"}})
	s.want("to a reader that comes later", "b:1 b:2", s.reads(s.open(loglines.Options{})))
}

// TestReader_MissesNothingWhenTheLogIsTrimmed: the run's log keeps its newest
// entries only, so a slow reader may not learn from it that a task has started.
func TestReader_MissesNothingWhenTheLogIsTrimmed(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	r := s.open(loglines.Options{})
	s.move(run.TaskRunning, "a")
	s.srv.Do(t, "DEL", fmt.Sprintf("orchis:{%d}:run:%s:changes", s.store.PartitionOf(id), id))
	s.move(run.TaskRunning, "b")
	s.write("a", "1")
	s.write("b", "2")
	s.want("the lines", "a:1 b:2", sorted(s.reads(r)))
}

func sorted(words string) string {
	all := strings.Fields(words)
	slices.Sort(all)
	return strings.Join(all, " ")
}

// TestReader_WaitsForALine of a task that is running, and of one that starts
// while it waits.
func TestReader_WaitsForALine(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	r := s.open(loglines.Options{})
	next := func() string {
		for {
			lines, err := r.Next(t.Context(), 200*time.Millisecond)
			if err != nil {
				t.Error(err)
				return ""
			}
			if len(lines) > 0 {
				return lines[0].Task + ":" + lines[0].Text
			}
		}
	}
	for _, task := range []string{"a", "b"} {
		got := make(chan string)
		go func() { got <- next() }()
		s.move(run.TaskRunning, task)
		s.write(task, "1")
		s.want("waited for", task+":1", <-got)
	}
}

// TestReader_CostOfALargeRun: it does not send a command for each task, neither
// at first nor while it follows.
func TestReader_CostOfALargeRun(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	const many = 20_000
	tasks := make([]string, many)
	for i := range tasks {
		tasks[i] = "j[" + strconv.Itoa(i) + "]"
	}
	for some := range slices.Chunk(tasks, 5000) {
		s.move(run.TaskQueued, some...)
	}
	s.write("j[17]", "1")
	s.write("j[19999]", "2")
	r := s.open(loglines.Options{})
	before := s.commands()
	s.want("the lines", "j[17]:1 j[19999]:2", s.reads(r))
	if n := s.commands() - before; n > 60 {
		t.Errorf("the lines of %d queued tasks took %d commands", many, n)
	}
	s.move(run.TaskRunning, "j[12345]")
	s.write("j[12345]", "3")
	before = s.commands()
	s.want("of a task that runs now", "j[12345]:3", s.reads(r))
	if n := s.commands() - before; n > 90 { // the records are read once more
		t.Errorf("to follow %d tasks took %d commands", many, n)
	}
	s.move(run.TaskSucceeded, tasks...)
	s.want("at the end", "", s.reads(r))
	before = s.commands()
	s.want("after the end", "", s.reads(r))
	if n := s.commands() - before; n > 10 {
		t.Errorf("a run of %d tasks that have ended takes %d commands", many, n)
	}
}

// commands is how many commands the server has processed.
func (s *story) commands() int {
	info := s.srv.Do(s.t, "INFO", "stats")
	_, text, _ := strings.Cut(info, "total_commands_processed:")
	n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(text, "\n", 2)[0]))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// TestReader_ReadsEveryLineOnce in the order of each task, whatever the sizes of
// the parts in which it reads.
func TestReader_ReadsEveryLineOnce(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	want := map[string]int{"long": 2500, "a": 1, "b": 30, "c": 1000, "late": 40}
	s.move(run.TaskRunning, "long", "a")
	s.move(run.TaskQueued, "b")
	s.move(run.TaskSucceeded, "c")
	s.move(run.TaskRetrying, "late")
	for _, task := range slices.Sorted(maps.Keys(want)) {
		lines := make([]wire.Line, want[task])
		for i := range lines {
			lines[i] = wire.Line{Attempt: 1, Source: "log", Text: strconv.Itoa(i), Number: i + 1, At: int64(i)}
		}
		if _, err := s.store.AppendLines(t.Context(), id, task, lines, nil); err != nil {
			t.Fatal(err)
		}
	}
	r, got := s.open(loglines.Options{}), map[string]int{}
	for {
		lines, err := r.Next(context.WithoutCancel(t.Context()), 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(lines) == 0 {
			break
		}
		for _, l := range lines {
			if l.Text != strconv.Itoa(got[l.Task]) {
				t.Fatalf("line %d of %s is %s", got[l.Task], l.Task, l.Text)
			}
			got[l.Task]++
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
