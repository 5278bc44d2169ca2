package wire

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/event"
)

// TestReserved_NamesAreIgnored in tickets and events, so that programs of today
// read what those of tomorrow write.
func TestReserved_NamesAreIgnored(t *testing.T) {
	t.Parallel()
	plain := `{"r":"r1","t":"a","f":"f1","h":"h"`
	want, err := ParseTicket("5-1", map[string]any{"v": "2", "ticket": plain + "}"})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range append(ReservedTicketKeys(), "unheardOf") {
		got, err := ParseTicket("5-1", map[string]any{"v": "2", "ticket": fmt.Sprintf(`%s,%q:{"x":[1]}}`, plain, key)})
		if got.Text = want.Text; err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("ticket with %s: %v %s", key, err, cmp.Diff(want, got))
		}
	}
	for _, key := range append(ReservedEventKeys(), "unheardOf") {
		events, bad, err := ParseEvents("5-1", map[string]any{"v": "2", "events": fmt.Sprintf(`[{"type":"started","run":"r1",%q:{"x":[1]}}]`, key)})
		if err != nil || len(bad) > 0 || len(events) != 1 || events[0].Type != Started {
			t.Errorf("event with %s: %v %v %v", key, events, bad, err)
		}
	}
	for _, kind := range ReservedEventTypes() {
		if slices.ContainsFunc(event.Table(), func(i event.Info) bool { return string(i.Kind) == kind }) {
			t.Errorf("the reserved type %s has a meaning", kind)
		}
		if info := event.Kind(kind).Info(); info.Fenced || info.Stream {
			t.Errorf("the reserved type %s has the effect %+v", kind, info)
		}
	}
}

// TestReserved_FieldsOfSubmissionsAreRefused with a text that says why.
func TestReserved_FieldsOfSubmissionsAreRefused(t *testing.T) {
	t.Parallel()
	for _, field := range ReservedFields() {
		_, err := ParseSubmission("5-1", map[string]any{"recipe": "x", field: "1"})
		if want := fmt.Sprintf("the field %q is reserved for a later version of Orchis: leave it out", field); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", field, err, want)
		}
		if sub, err := ParseSubmission("5-1", map[string]any{"recipe": "x", "input." + field: "1"}); err != nil || sub.Single[field] != "1" {
			t.Errorf("an input named %s: %+v, %v", field, sub, err)
		}
	}
	if _, err := ParseSubmission("5-1", map[string]any{"recipe": "x", "other": "1"}); err == nil || !strings.Contains(err.Error(), `unknown field "other"`) {
		t.Errorf("an unknown field: %v", err)
	}
}
