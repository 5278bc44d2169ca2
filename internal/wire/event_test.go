package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/pkg/run"
)

func TestEvents_OneBadEventDoesNotTakeItsNeighboursAlong(t *testing.T) {
	t.Parallel()
	text := `[{"type":"succeeded","run":"r1","task":"a","fence":"f1","result":{"x":1}},
		{"type":"succeeded","run":"r2","task":"b","at":"noon"}, 7, {"type":"started"},
		{"type":"failed","run":"r3","task":"c","fence":"f3","worker":"other","error":{"code":"x","message":"y"},"permanent":true,"unknown":[{}]}]`
	events, bad, err := ParseEvents("5-1", map[string]any{"v": "2", "worker": "w", "events": text})
	if err != nil {
		t.Fatal(err)
	}
	entry := &Entry{ID: "5-1", Events: 2, Deliveries: 1}
	want := []Event{
		{Entry: entry, Type: Succeeded, Run: "r1", Task: "a", Fence: "f1", Worker: "w", Result: []byte(`{"x":1}`), Tidy: true},
		{Entry: entry, Type: Failed, Run: "r3", Task: "c", Fence: "f3", Worker: "other", Error: &run.Error{Code: "x", Message: "y"}, Permanent: true},
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Error(diff)
	}
	if len(bad) != 3 || bad[0].Run != "r2" || bad[0].Task != "b" {
		t.Errorf("bad events: %v", bad)
	}
	for i, want := range []string{`"at" is not a whole number`, "expected a JSON object", `the event has no "run"`} {
		if i < len(bad) && !strings.Contains(bad[i].Err.Error(), want) {
			t.Errorf("bad event %d: %v, want %q in it", i, bad[i].Err, want)
		}
	}
}

func TestEvents_AnEntryThatIsNoArrayIsRefused(t *testing.T) {
	t.Parallel()
	many := "[" + strings.Repeat(`{"type":"started","run":"r"},`, MaxEvents) + `{"type":"started","run":"r"}]`
	large := fmt.Sprintf(`[{"type":"succeeded","run":"r","result":"%s"},{"type":"started","run":"r"}]`, strings.Repeat("x", MaxEventBytes))
	for _, text := range []string{"", "[]", "{}", "[", `[{"type":"started","run":"r"}`, `[{"type":"started","run":"r"}] x`, many, large} {
		if _, _, err := ParseEvents("1-1", map[string]any{"v": "2", "events": text}); err == nil {
			t.Errorf("accepted: %.60s", text)
		}
	}
	if _, _, err := ParseEvents("1-1", map[string]any{"v": "1", "type": "started", "run": "r"}); err == nil || !strings.Contains(err.Error(), `its version is "1"`) {
		t.Errorf("version 1: %v", err)
	}
}

func TestEvents_ArePackedWithinTheLimitsOfAnEntry(t *testing.T) {
	t.Parallel()
	var all []Event
	for i := range 600 {
		all = append(all, Event{Type: Succeeded, Run: fmt.Sprint("r", i), Worker: "w", Result: []byte(`"` + strings.Repeat("x", i*7) + `"`)})
	}
	all = append(all, Event{Type: Signal, Run: "large", Worker: "w", Data: []byte(`"` + strings.Repeat("y", 2*MaxEventBytes) + `"`)}, Event{Type: Started, Run: "last", Worker: "w"})
	p := EventPacker{Sender: "w"}
	var entries [][]byte
	for i := range all {
		if full := p.Add(&all[i]); full != nil {
			entries = append(entries, full)
		}
	}
	entries = append(entries, p.Close())
	var got []string
	for _, entry := range entries {
		events, bad, err := ParseEvents("1-1", sent(EventFields("w", entry)))
		if err != nil || len(bad) > 0 {
			t.Fatalf("%v %v", err, bad)
		}
		for i := range events {
			got = append(got, events[i].Run)
		}
	}
	var want []string
	for i := range all {
		want = append(want, all[i].Run)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if p.Close() != nil {
		t.Error("an empty packer closed an entry")
	}
}

func TestTicket_LeavesOutUsualValues(t *testing.T) {
	t.Parallel()
	tk := Ticket{Run: "r", Task: "a", Fence: "f", Attempt: 1, Handler: "h", Inputs: []byte("{}"), Recipe: "rec", PublishedMs: 5}
	if got, want := string(tk.Append(nil, false)), `{"r":"r","t":"a","f":"f","h":"h","c":"rec"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	tk.Attempt, tk.Inputs = 2, []byte(`{"a":"é\n"}`)
	read, err := ParseTicket("1700000000000-3", sent(tk.Fields(Keys{})))
	if err != nil || read.Attempt != 2 || string(read.Inputs) != string(tk.Inputs) || read.PublishedMs != 1700000000000 {
		t.Errorf("read back: %+v, %v", read, err)
	}
}

// TestEvents_SayWhetherAResultIsTidy: it is compact and in valid UTF-8.
func TestEvents_SayWhetherAResultIsTidy(t *testing.T) {
	t.Parallel()
	for result, want := range map[string]bool{
		`{"a":[1,"b c\n"],"é":null}`: true,
		`1.50`:                       true,
		`{"a": 1}`:                   false,
		"[1\n]":                      false,
		"\"\xff\"":                   false,
	} {
		events, bad, err := ParseEvents("1-1", map[string]any{"v": Version, "events": `[{"type":"succeeded","run":"r","result":` + result + `}]`})
		if err != nil || len(bad) > 0 || len(events) != 1 || string(events[0].Result) != result {
			t.Fatalf("%q is read as %v (%v, %v)", result, events, bad, err)
		}
		if got := events[0].Tidy; got != want {
			t.Errorf("%q is tidy: %v, want %v", result, got, want)
		}
	}
}
