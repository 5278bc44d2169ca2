package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// TestAPoisonJobBecomesADeadLetter: a job that kills each worker it meets is
// given up after three losses and one, its run goes on by its rules, and an
// operator finds it, shows it, tries it again and throws it away. The workers
// keep their names, as under systemd.
func TestAPoisonJobBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server")
	h := newHouse(t, 1, 2)
	id := h.submit(client.Request{Definition: "jobs:\n  poison: {job: exec, inputs: {command: 'kill -9 $PPID'}, retries: 5, continueOnError: true}\n  after: {job: exec, dependsOn: [poison], inputs: {command: 'echo on'}}\n"})
	h.until("the run has ended", func() bool {
		h.again("w1", "w2")
		rec, err := h.client.Get(t.Context(), id)
		return err == nil && rec.State.Final()
	})
	if rec := h.wait(id); rec.State != run.Succeeded {
		t.Errorf("the run is %s: %v", rec.State, rec.Error)
	}
	tasks, err := h.client.Tasks(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range tasks {
		if rec.ID == "poison" && (rec.State != run.TaskFailed || rec.Error.Code != run.CodeLost || rec.Losses != 4 || rec.Failures != 0) {
			t.Errorf("the poison job is %+v (%v)", rec, rec.Error)
		}
	}
	h.until("the workers are there", func() bool { h.again("w1", "w2"); return h.alive(2) })
	out, code := h.orchis("dlq", "list", "-o", "json")
	var letters []client.DeadLetter
	if err := json.Unmarshal([]byte(out), &letters); err != nil || code != 0 || len(letters) != 1 || letters[0].Run != id || letters[0].Task != "poison" {
		t.Fatalf("exit code %d, dead letters %s", code, out)
	}
	letter := letters[0].ID
	if out, code := h.orchis("dlq", "show", letter); code != 0 || !strings.Contains(out, `"code": "lost"`) {
		t.Errorf("show: exit code %d, %s", code, out)
	}
	if out, code := h.orchis("dlq", "list"); code != 0 || !strings.Contains(out, "poison") || !strings.Contains(out, "(lost)") {
		t.Errorf("list: exit code %d, %s", code, out)
	}
	out, code = h.orchis("dlq", "requeue", letter)
	second := strings.TrimSpace(out)
	if code != 0 || second == "" {
		t.Fatalf("requeue: exit code %d, %s", code, out)
	}
	if rec, err := h.client.Get(t.Context(), second); err != nil || rec.Labels["retryOf"] != id {
		t.Errorf("the new run is %+v, %v", rec, err)
	}
	h.purged(second, letter)
}

// purged waits for the second run to end as the first did, and purges.
func (h *house) purged(second, old string) {
	h.t.Helper()
	h.until("the second run has ended", func() bool {
		h.again("w1", "w2")
		rec, err := h.client.Get(h.t.Context(), second)
		return err == nil && rec.State.Final()
	})
	if _, code := h.orchis("dlq", "show", old); code != 4 {
		h.t.Errorf("the letter that was requeued is still there: exit code %d", code)
	}
	if _, code := h.orchis("dlq", "purge"); code != 2 {
		h.t.Errorf("purge without a word of what: exit code %d", code)
	}
	if out, code := h.orchis("dlq", "purge", "--all"); code != 0 || !strings.Contains(out, "1 deleted") {
		h.t.Errorf("purge: exit code %d, %s", code, out)
	}
	if letters, err := h.client.DeadLetters(h.t.Context(), 10); err != nil || len(letters) != 0 {
		h.t.Errorf("after the purge: %v, %v", letters, err)
	}
}

// again starts workers that have died, as systemd does.
func (h *house) again(names ...string) {
	h.t.Helper()
	for _, name := range names {
		if h.procs[name].gone() {
			_ = h.procs[name].cmd.Wait()
			h.start(name, "worker")
		}
	}
}
