package trail_test

import (
	"testing"

	"github.com/orchis-run/orchis/internal/trail"
)

const given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestAContextCarriesATrace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		given:                      given,
		given[:53] + "00":          given[:53] + "00", // not to be recorded, but the same trace
		"":                         "",
		"nonsense":                 "",
		given + "-more":            "",
		"01" + given[2:]:           given, // a later version is read as far as it is known
		"ff" + given[2:]:           "",
		"00-" + given[3:20]:        "",
		"00-0-b7ad6b7169203331-01": "",
	} {
		if got := trail.From(trail.Into(t.Context(), text)); got != want {
			t.Errorf("%q comes out as %q, want %q", text, got, want)
		}
	}
	if !trail.Span(given).IsRemote() || trail.Span("nonsense").IsValid() {
		t.Error("a span is not what its text says")
	}
	// What is not valid leaves what is there.
	if got := trail.From(trail.Into(trail.Into(t.Context(), given), "nonsense")); got != given {
		t.Errorf("nonsense made it %q", got)
	}
}
