package orchestrator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
)

func clockTime(text string) time.Time {
	t, err := time.Parse("15:04:05", text)
	if err != nil {
		panic(err)
	}
	return time.Date(2026, 5, 4, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// TestWhatIsDueStarts: the rule of each overlap, of catching up and of pauses.
func TestWhatIsDueStarts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, overlap string
		catchup       time.Duration
		seen, now     string
		active        bool
		waiting       string
		paused, off   bool
		want          string // times, then what became of the rest
	}{
		{name: "in time", overlap: "skip", seen: "10:00:10", now: "11:00:01", want: "11:00"},
		{name: "not due", overlap: "skip", seen: "10:00:10", now: "10:59:59", want: ""},
		{name: "too late", overlap: "skip", seen: "10:00:10", now: "11:02:00", want: " skipped 11:00: no orchestrator was there in time"},
		{name: "caught up", overlap: "skip", catchup: time.Hour, seen: "10:00:10", now: "11:02:00", want: "11:00"},
		{name: "the newest of three", overlap: "skip", catchup: 5 * time.Hour, seen: "10:00:10", now: "13:02:00", want: "13:00 skipped 12:00: a later start was due, too"},
		{name: "all of three", overlap: "allow", catchup: 5 * time.Hour, seen: "10:00:10", now: "13:02:00", active: true, want: "11:00 12:00 13:00"},
		{name: "skip while active", overlap: "skip", seen: "10:00:10", now: "11:00:01", active: true, want: " skipped 11:00: run old was still under way"},
		{name: "queue while active", overlap: "queue", seen: "10:00:10", now: "11:00:01", active: true, want: " waiting 11:00"},
		{name: "one at most waits", overlap: "queue", seen: "10:00:10", now: "11:00:01", active: true, waiting: "10:00:00", want: " skipped 10:00: a later start took its place in the queue waiting 11:00"},
		{name: "the queue moves up", overlap: "queue", seen: "11:00:00", now: "11:07:00", waiting: "11:00:00", want: "11:00"},
		{name: "and holds the newest", overlap: "queue", catchup: 5 * time.Hour, seen: "10:00:10", now: "13:02:00", want: "11:00 waiting 13:00"},
		{name: "the oldest is cancelled", overlap: "cancelOldest", seen: "10:00:10", now: "11:00:01", active: true, want: "11:00 stop"},
		{name: "paused", overlap: "skip", seen: "10:00:10", now: "11:00:01", paused: true, want: " skipped 11:00: the schedule was paused"},
		{name: "disabled", overlap: "skip", seen: "10:00:10", now: "11:00:01", off: true, want: ""},
	}
	for _, test := range tests {
		rule := &flow.Schedule{Cron: "0 * * * *", Timezone: "UTC", Overlap: test.overlap, Catchup: test.catchup, Disabled: test.off}
		s := &wire.Schedule{Seen: clockTime(test.seen).UnixMilli(), Run: "old"}
		if test.paused {
			s.Paused = &wire.Paused{}
		}
		if test.waiting != "" {
			s.Waiting = clockTime(test.waiting).UnixMilli()
		}
		starts, stop := decideStarts(rule, s, test.active, clockTime(test.now))
		var words []string
		for _, at := range starts {
			words = append(words, at.UTC().Format("15:04"))
		}
		got := strings.Join(words, " ")
		if s.Skipped > 0 {
			got += " skipped " + time.UnixMilli(s.Skipped).UTC().Format("15:04") + ": " + s.Why
		}
		if s.Waiting > 0 {
			got += " waiting " + time.UnixMilli(s.Waiting).UTC().Format("15:04")
		}
		if stop {
			got += " stop"
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestAScheduleFiresOnce: two orchestrators that both think they own the
// partition start one run for each time; one that was away makes up for what it
// missed; a schedule that is new begins now.
func TestAScheduleFiresOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		store, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL, Prefix: srv.Prefix})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		project := t.TempDir()
		text := "inputs: {day: {default: mon}}\nschedule: [{name: often, cron: '*/5 * * * *', overlap: allow, catchup: 30m, inputs: {day: tue}}]\njobs: {a: {job: transform, inputs: '${inputs}'}}\n"
		if err := os.MkdirAll(filepath.Join(project, "recipes"), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(project, "recipes", "beat.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		now := clockTime("12:01:00")
		var both [2]*Orchestrator
		for i := range both {
			o, err := New(store, Config{Definitions: flow.Options{Root: project}, WaitForHandlers: true, Poll: time.Millisecond}, nil)
			if err != nil {
				t.Fatal(err)
			}
			o.clock = func() time.Time { return now }
			o.owned[0] = true
			both[i] = o
		}
		tick := func(at string) {
			now = clockTime(at)
			for _, o := range both {
				if err := o.schedule(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for {
				subs, err := store.ReadSubmissions(t.Context(), "o", 16, 0)
				if err != nil {
					t.Fatal(err)
				}
				if len(subs) == 0 {
					return
				}
				if err := both[0].accept(t.Context(), subs); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, at := range []string{"12:01:00", "12:04:59", "12:05:00", "12:05:01", "12:05:30", "12:10:02", "12:40:00"} {
			tick(at)
		}
		runs, err := store.ListRuns(t.Context(), redisstore.ListQuery{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for i := range runs {
			got[runs[i].ID] = string(runs[i].Outputs) + " " + runs[i].Labels["schedule"] + " " + runs[i].SubmittedBy
		}
		want := map[string]string{}
		for _, minute := range []string{"05", "10", "15", "20", "25", "30", "35", "40"} {
			want["beat.often-20260504T12"+minute+"00Z"] = `{"a":{"day":"tue"}} beat.often schedule beat.often`
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
		known, err := store.Schedules(t.Context())
		if err != nil || known["beat.often"].Next != clockTime("12:45:00").UnixMilli() {
			t.Errorf("remembered is %+v, %v", known, err)
		}
	})
}
