package orchestrator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/artifact"
)

// refs holds some artifacts.
type refs map[string]bool

func (r refs) KeepArtifacts(context.Context, int, string, time.Time, []string) error { return nil }

func (r refs) HeldArtifacts(_ context.Context, digests []string, _ time.Time) (map[string]bool, error) {
	held := map[string]bool{}
	for _, d := range digests {
		held[d] = r[d]
	}
	return held, nil
}

func TestOnlyTheOwnerRemovesWhatNobodyRefersTo(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	files, err := artifact.Open(t.TempDir(), "x")
	if err != nil {
		t.Fatal(err)
	}
	held := refs{}
	var all []string
	for i, text := range []string{"one", "two", "three"} {
		ref, _, err := files.Put(ctx, text, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		held[ref.Digest] = i == 1
		all = append(all, ref.Digest)
	}
	left := func() []string {
		var out []string
		if err := files.Walk(ctx, func(e artifact.Entry) error { out = append(out, e.Digest); return nil }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	later := time.Now().Add(2 * time.Hour)
	if n, _, err := Collect(ctx, files, held, "epoch-1", later, 3*time.Hour); n != 0 || err != nil {
		t.Errorf("young ones: %d removed (%v)", n, err)
	}
	if n, _, err := Collect(ctx, files, held, "epoch-2", later, time.Hour); n != 0 || !errors.Is(err, ErrForeign) {
		t.Errorf("a stranger removes %d (%v)", n, err)
	}
	if n, bytes, err := Collect(ctx, files, held, "epoch-1", later, time.Hour); n != 2 || bytes != 8 || err != nil {
		t.Errorf("%d are removed with %d bytes (%v)", n, bytes, err)
	}
	if got := left(); !slices.Equal(got, all[1:2]) {
		t.Errorf("left are %v", got)
	}
}
