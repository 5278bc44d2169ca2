package run_test

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/pkg/run"
)

func TestTasksAreStoredWithoutWhatIsUsual(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		task run.Task
		want string
	}{
		{run.Task{State: run.TaskQueued, Attempt: 1, Queue: "default", Queued: 5, First: 5}, `{"state":"queued","queued":5}`},
		{run.Task{State: run.TaskQueued, Attempt: 2, Queue: "gpu", Queued: 9, First: 5}, `{"state":"queued","queued":9,"queue":"gpu","first":5,"attempt":2}`},
		{run.Task{State: run.TaskSucceeded, Attempt: 1, Queue: "default", Queued: 50, First: 50, Started: 49, Ended: 53}, `{"state":"succeeded","queued":50,"started":-1,"ended":3}`},
		{run.Task{State: run.TaskFailed, Queue: "default", Queued: 50, First: 50, Ended: 50}, `{"state":"failed","queued":50,"attempt":0,"ended":0}`},
		{run.Task{State: run.TaskRunning, Attempt: 1, Queued: 5}, `{"state":"running","queued":5,"queue":"","first":0}`},
		{run.Task{State: run.TaskSkipped}, `{"state":"skipped","queue":""}`},
	} {
		if got := test.task.Encode(); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestChangesAreStoredWithoutWhatIsUsual(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		changes []run.Change
		want    string
	}{
		{nil, `[0]`},
		{[]run.Change{{At: 5, Run: run.Running}, {At: 5, Task: "a", State: run.TaskQueued, Attempt: 1}}, `[5,{"run":"running"},{"task":"a","state":"queued"}]`},
		{[]run.Change{{At: 5, Task: "a", State: run.TaskRetrying, Attempt: 2}, {At: 5, Task: "b", State: run.TaskSkipped}}, `[5,{"task":"a","state":"retrying","attempt":2},{"task":"b","state":"skipped","attempt":0}]`},
		{[]run.Change{{At: 50, Task: "a", State: run.TaskSucceeded, Attempt: 1, Started: 47}}, `[50,{"task":"a","state":"succeeded","started":-3}]`},
		{[]run.Change{{At: 5}, {At: 6, Attempt: 1}, {}}, `[5,{},{"at":6,"attempt":1},{"at":0}]`},
	} {
		if got := string(run.EncodeChanges(test.changes)); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// subset sets some fields of a struct: the n-th when the n-th bit is set.
func subset(v reflect.Value, bits uint64) {
	for i := range v.NumField() {
		if bits>>i&1 == 1 {
			fill(v.Field(i), i)
		}
	}
}

// Whatever of a record is set beside them, what is left out comes back.
func TestWhatIsStoredIsReadAsItWas(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 3000 {
		bits := r.Uint64()
		if n < 64 {
			bits = 1 << n
		}
		for _, queue := range []string{"", "default", "gpu"} {
			for _, times := range [][2]int64{{}, {0, 5}, {5, 0}, {5, 5}, {5, 7}} {
				var task run.Task
				subset(reflect.ValueOf(&task).Elem(), bits)
				task.ID, task.State = "a", run.TaskQueued
				task.Queue, task.First, task.Queued = queue, times[0], times[1]
				got, err := run.ParseTask("a", task.Encode())
				if diff := cmp.Diff(task, got); diff != "" || err != nil {
					t.Fatalf("%s: %v\n%s", task.Encode(), err, diff)
				}
			}
		}
		var changes []run.Change
		for range r.IntN(4) {
			var c run.Change
			subset(reflect.ValueOf(&c).Elem(), bits)
			c.At, c.Attempt, c.Task = r.Int64N(3), r.IntN(3), []string{"", "a"}[r.IntN(2)]
			changes = append(changes, c)
			bits = r.Uint64()
		}
		got, err := run.ParseChanges(run.EncodeChanges(changes))
		if diff := cmp.Diff(append([]run.Change{}, changes...), got); diff != "" || err != nil {
			t.Fatalf("%s: %v\n%s", run.EncodeChanges(changes), err, diff)
		}
	}
}

func TestADamagedEntryIsAnError(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "5", "{}", "[]", `["5"]`, `[5,6]`, `[5,{"attempt":"1"}]`, `[5,{}`, `[{"at":5,"run":"running"}]`} {
		if got, err := run.ParseChanges([]byte(text)); err == nil {
			t.Errorf("%s is read as %+v", text, got)
		}
	}
}
