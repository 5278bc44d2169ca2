package run_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/orchis-run/orchis/pkg/run"
)

// FuzzTask: a record is read as it was written, or refused.
func FuzzTask(f *testing.F) {
	for _, s := range []string{`{"state":"queued","attempt":1}`, `{"state":"x"}`, `{"attempt":1e99}`, `[]`, `null`, `{"error":{"code":"a"}}`, `{"progress":1e400}`, `{"state":"queued","queue":"","first":0,"queued":5}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		one, err := run.ParseTask("a", text)
		if err != nil {
			return
		}
		two, err := run.ParseTask("a", one.Encode())
		if diff := cmp.Diff(one, two); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}

// FuzzChanges does the same for an entry of a run's log.
func FuzzChanges(f *testing.F) {
	for _, s := range []string{`[5,{"run":"running"},{"task":"a","state":"queued"}]`, `[5]`, `[]`, `[5,null,{"at":6,"attempt":0}]`, `[5,{"Attempt":1,"task":"a","at":null}]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		one, err := run.ParseChanges([]byte(text))
		if err != nil {
			return
		}
		two, err := run.ParseChanges(run.EncodeChanges(one))
		if diff := cmp.Diff(one, two, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}

// FuzzRun does the same for the record of a run.
func FuzzRun(f *testing.F) {
	f.Add("running", `{"pending":1}`, `{}`, `{"code":"x"}`, `{"a":"b"}`, "5", "7")
	f.Add("", "", "", "", "", "", "x")
	f.Add("failed", `{"pending":-1}`, "null", "[]", "{}", "-1", "99999999999999999999")
	f.Fuzz(func(t *testing.T, state, counts, inputs, failure, labels, created, version string) {
		one, err := run.Parse("r", 0, map[string]string{
			"state": state, "counts": counts, "inputs": inputs, "error": failure, "labels": labels, "created": created, "version": version,
		})
		if err != nil {
			return
		}
		m := map[string]string{"version": version}
		fields := one.Fields()
		for i := 0; i < len(fields); i += 2 {
			m[fields[i]] = fields[i+1]
		}
		two, err := run.Parse("r", 0, m)
		if len(one.Labels) == 0 {
			one.Labels, two.Labels = nil, nil
		}
		if diff := cmp.Diff(one, two); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}
