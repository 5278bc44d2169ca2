package orchestrator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// tidyBatch is how many runs are exported and deleted at once.
const tidyBatch = 100

// retain deletes the ended runs of a partition whose time is over, the oldest
// first, until none is left that must go.
func (o *Orchestrator) retain(ctx context.Context, p int) error {
	keep := o.cfg.RetentionCount
	if o.cfg.RetentionBytes > 0 {
		fits, err := o.store.FittingRuns(ctx, p, o.cfg.RetentionBytes)
		if err != nil {
			return err
		}
		keep = min(keep, fits)
	}
	deleted := 0
	for ctx.Err() == nil && o.owns(p) {
		old, err := o.store.EndedRuns(ctx, p, o.now(), o.now().Add(-o.cfg.RetentionAge), keep, tidyBatch)
		if err != nil {
			return err
		}
		if len(old) == 0 {
			break
		}
		if o.cfg.Export != "" {
			if err := o.export(ctx, old); err != nil {
				o.log.Warn("old runs stay: they cannot be exported", zap.String("folder", o.cfg.Export), zap.Error(err))
				break
			}
		}
		if err := o.store.DeleteRuns(ctx, p, old); err != nil {
			return err
		}
		deleted += len(old)
	}
	if deleted > 0 {
		o.log.Info("old runs deleted", zap.Int("partition", p), zap.Int("runs", deleted))
	}
	return nil
}

// exported is a line of an export.
type exported struct {
	Run     run.Run                    `json:"run"`
	Tasks   []run.Task                 `json:"tasks"`
	Outputs map[string]json.RawMessage `json:"outputs"`
	Log     []run.Change               `json:"log"`
}

// export appends runs to the file of the day. It returns when they are on the
// disk. After an error or a crash a run may stand there twice.
func (o *Orchestrator) export(ctx context.Context, ids []string) error {
	var lines bytes.Buffer
	for _, id := range ids {
		line, err := o.exportLine(ctx, id)
		if errors.Is(err, wire.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		lines.Write(line)
		lines.WriteByte('\n')
	}
	name := "runs-" + o.now().UTC().Format(time.DateOnly) + ".jsonl"
	return appendSynced(filepath.Join(o.cfg.Export, name), lines.Bytes())
}

func (o *Orchestrator) exportLine(ctx context.Context, id string) ([]byte, error) {
	var e exported
	var err error
	if e.Run, err = o.store.Run(ctx, id); err != nil {
		return nil, err
	}
	if e.Tasks, err = o.store.Tasks(ctx, id); err != nil {
		return nil, err
	}
	if e.Outputs, err = o.store.Outputs(ctx, id); err != nil {
		return nil, err
	}
	for after := ""; ; {
		entries, err := o.store.Log(ctx, id, after, 1000, 0)
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			return json.Marshal(e)
		}
		for _, entry := range entries {
			e.Log = append(e.Log, entry.Changes...)
			after = entry.ID
		}
	}
}

// appendSynced appends whole lines to a file that several processes may share.
// A line that a crash has cut off is ended first.
func appendSynced(path string, lines []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of exports: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the export: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at the export: %w", err)
	}
	if size := info.Size(); size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return fmt.Errorf("read the export: %w", err)
		}
		if last[0] != '\n' {
			lines = append([]byte{'\n'}, lines...)
		}
	}
	if _, err := f.Write(lines); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("bring the export to the disk: %w", err)
	}
	return nil
}
