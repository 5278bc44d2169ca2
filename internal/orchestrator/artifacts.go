package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/artifact"
	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/wire"
)

// artifactPage is how many artifacts are looked at at once.
const artifactPage = 500

// takenOver are the artifacts that a new run has from elsewhere.
func takenOver(inputs []byte, seeds map[string]engine.Seed) []wire.Artifact {
	var out []wire.Artifact
	add := func(text []byte) {
		for _, digest := range artifact.Find(text) {
			out = append(out, wire.Artifact{Digest: digest})
		}
	}
	add(inputs)
	for _, s := range seeds {
		add(s.Result)
	}
	return out
}

// collect has artifacts removed that no run refers to. One orchestrator does
// it: the owner of the first partition.
func (o *Orchestrator) collect(ctx context.Context) error {
	if !o.owns(0) {
		return nil
	}
	now, _, err := o.store.Epoch(ctx)
	if err != nil {
		return err
	}
	n, bytes, err := Collect(ctx, o.cfg.Artifacts, o.store, now, o.now(), o.cfg.ArtifactAge)
	if n > 0 {
		o.log.Info("artifacts removed that no run refers to", zap.Int("artifacts", n), zap.Int64("bytes", bytes))
	}
	if err != nil {
		o.log.Warn("artifacts stay that no run refers to", zap.Error(err))
	}
	return nil
}

// ErrForeign says that another installation collects the artifacts of a store.
var ErrForeign = errors.New("another Redis, or one that was emptied since, looks after this store of artifacts; `orchis artifact adopt` changes that")

// Collect removes the artifacts of a store that were not put for an age and that
// nothing refers to. Only the installation that owns the store may do so, known
// by the epoch of its Redis: what others refer to is not known here.
func Collect(ctx context.Context, files artifact.Store, refs artifactStore, epoch string, now time.Time, age time.Duration) (n int, bytes int64, err error) {
	owner, err := files.Owner(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("ask who owns the artifacts: %w", err)
	}
	if owner == "" {
		if err := files.Own(ctx, epoch); err != nil {
			return 0, 0, fmt.Errorf("own the artifacts: %w", err)
		}
	} else if owner != epoch { // mutant: artifacts-owner (false)
		return 0, 0, ErrForeign
	}
	var page []artifact.Entry
	before := now.Add(-age)
	look := func() error {
		digests := make([]string, len(page))
		for i := range page {
			digests[i] = page[i].Digest
		}
		held, err := refs.HeldArtifacts(ctx, digests, now)
		if err != nil {
			return err
		}
		for _, e := range page {
			if held[e.Digest] {
				continue
			}
			if err := files.Remove(ctx, e.Digest, before); err != nil {
				return err
			}
			n, bytes = n+1, bytes+e.Size
		}
		page = page[:0]
		return nil
	}
	err = files.Walk(ctx, func(e artifact.Entry) error {
		if e.Used.After(before) {
			return nil
		}
		if page = append(page, e); len(page) < artifactPage {
			return nil
		}
		return look()
	})
	if err == nil && len(page) > 0 {
		err = look()
	}
	return n, bytes, err
}
