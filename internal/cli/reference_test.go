package cli

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheReferenceOfCommandsIsUpToDate(t *testing.T) {
	t.Parallel()
	want, errs, code := typed(t.Context(), t, "", "reference")
	if code != 0 {
		t.Fatal(errs)
	}
	got, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("make docs writes docs/cli.md anew (-commands +page):\n%s", diff)
	}
}
