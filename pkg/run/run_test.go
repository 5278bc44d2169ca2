package run_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/pkg/run"
)

func sample() run.Run {
	return run.Run{
		ID: "r1", Partition: 2, State: run.Failed, Version: 7, Recipe: "hello", Definition: "sha256:x",
		Inputs: []byte(`{"a":1}`), Outputs: []byte(`[2]`), Labels: map[string]string{"k": "v"}, SubmittedBy: "ann",
		Error: &run.Error{Code: "exit:1", Message: "no", Task: "a"}, Created: 1, Started: 2, Ended: 3, Counts: run.Counts{Failed: 1},
	}
}

func TestARunIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	want := sample()
	fields := map[string]string{"version": strconv.FormatInt(want.Version, 10)}
	all := want.Fields()
	for i := 0; i < len(all); i += 2 {
		fields[all[i]] = all[i+1]
	}
	got, err := run.Parse("r1", 2, fields)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var again run.Run
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Error(diff)
	}
}

func TestADamagedRecordIsAnError(t *testing.T) {
	t.Parallel()
	for _, fields := range []map[string]string{{"created": "soon"}, {"labels": "{"}, {"counts": "[]"}} {
		if _, err := run.Parse("r1", 0, fields); err == nil {
			t.Errorf("%v is read", fields)
		}
	}
	if _, err := run.ParseTask("a", "{"); err == nil {
		t.Error("a damaged task is read")
	}
}

func TestOnlyWhatChangedIsWritten(t *testing.T) {
	t.Parallel()
	old := sample()
	now := old
	now.State, now.Ended = run.Cancelled, 9
	if diff := cmp.Diff([]string{"state", "cancelled", "ended", "9"}, now.ChangedFields(&old)); diff != "" {
		t.Error(diff)
	}
}
