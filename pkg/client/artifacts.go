package client

import (
	"context"
	"time"

	"github.com/orchis-run/orchis/internal/artifact"
	"github.com/orchis-run/orchis/internal/orchestrator"
)

// Artifacts returns the files that a run refers to, as artifact://sha256/...
func (c *Client) Artifacts(ctx context.Context, id string) ([]string, error) {
	digests, err := c.store.Artifacts(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(digests))
	for i, d := range digests {
		out[i] = artifact.Ref{Digest: d}.String()
	}
	return out, nil
}

// CollectArtifacts removes the files of a store that were not put for an age and
// that no run refers to. It returns how many there were and their bytes.
func (c *Client) CollectArtifacts(ctx context.Context, files artifact.Store, age time.Duration) (n int, bytes int64, err error) {
	epoch, _, err := c.store.Epoch(ctx)
	if err != nil {
		return 0, 0, err
	}
	now, err := c.store.Now(ctx)
	if err != nil {
		return 0, 0, err
	}
	return orchestrator.Collect(ctx, files, c.store, epoch, now, age)
}

// AdoptArtifacts lets the orchestrators of this Redis remove files of a store.
func (c *Client) AdoptArtifacts(ctx context.Context, files artifact.Store) error {
	epoch, _, err := c.store.Epoch(ctx)
	if err != nil {
		return err
	}
	return files.Own(ctx, epoch)
}
